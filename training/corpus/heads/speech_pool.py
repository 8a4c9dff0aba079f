"""Recorded utterances in a pack: speech for machines without a synthesiser."""

import io
import json
from typing import Final

from engine.errors import ArtefactError
from training.corpus.heads.assets import Assets
from training.corpus.media import encode_flac, read_audio
from training.corpus.speech import SpeechSource
from training.corpus.utterance import Phone, Utterance

UTTERANCES_A_PERSON: Final = 1000
"""Indices that a person may take, so that two people never say the same."""
_FOLDER: Final = "speech/"


class RecordedSpeech:
    """The utterances of a pack by index, again from the first after the last."""

    def __init__(self, assets: Assets) -> None:
        """Look for them.

        Args:
            assets: A pack.

        Raises:
            ArtefactError: It holds none.
        """
        self._assets = assets
        self._names = [name.removesuffix(".flac") for name in assets.names(_FOLDER, ".flac")]
        if not self._names:
            raise ArtefactError(f"{assets.path} holds no speech; pack it again on a machine with flite or espeak-ng.")

    def utterance(self, index: int) -> Utterance:
        """Utterance ``index``.

        Raises:
            ArtefactError: The recording is damaged.
        """
        person, number = divmod(index, UTTERANCES_A_PERSON)
        # A step that shares no factor with most counts: neighbours begin far apart.
        name = self._names[(person * 37 + number) % len(self._names)]
        data = self._assets.json(f"{name}.json")
        try:
            phones = [Phone(str(p[0]), float(p[1]), float(p[2]), int(p[3])) for p in data["phones"]]
            audio = read_audio(io.BytesIO(self._assets.read(f"{name}.flac")))
            return Utterance(audio, phones, str(data["voice"]), str(data["text"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ArtefactError(f"{name}.json in {self._assets.path} is damaged: {error}.") from error


def record_speech(seed: int, seconds: float) -> dict[str, bytes]:
    """Utterances worth ``seconds`` as files of a pack, by name.

    Raises:
        MissingExtraError: No synthesiser is installed.
    """
    source = SpeechSource(seed)
    files: dict[str, bytes] = {}
    total, number = 0.0, 0
    while total < seconds:
        spoken = source.utterance(number)
        name = f"{_FOLDER}{number:05d}"
        phones = [[p.symbol, round(p.start_s, 4), round(p.end_s, 4), p.stress] for p in spoken.phones]
        files[f"{name}.json"] = json.dumps({"voice": spoken.voice, "text": spoken.text, "phones": phones}).encode()
        files[f"{name}.flac"] = encode_flac(spoken.audio)
        total += spoken.phones[-1].end_s
        number += 1
    return files
