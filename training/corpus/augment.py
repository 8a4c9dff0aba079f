"""Live-microphone augmentation: makes clean speech sound like calls, laptops and rooms, keeping every phone's time.

The order is that of the real chain: room, surroundings, microphone, gain control, overload, network.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.spec import SAMPLE_HZ
from training.corpus import channel
from training.corpus.media import opus_round_trip
from training.corpus.noise import NOISES, add_at_snr, make_noise
from training.corpus.utterance import Phone, Utterance, tile_phones

Audio = NDArray[np.float32]

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentConfig(BaseModel):
    """How often each disturbance happens, and how strong it is.

    Probabilities are per call of ``Augmenter.apply``; ranges are drawn from evenly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: Probability = 0.1
    """Leave the audio as it is, gain apart."""
    reverb: Probability = 0.45
    rt60_s: tuple[float, float] = (0.1, 0.7)
    direct_to_reverb_db: tuple[float, float] = (-1.0, 16.0)
    noise: Probability = 0.6
    noise_snr_db: tuple[float, float] = (3.0, 40.0)
    second_noise: Probability = 0.25
    music_bed: Probability = 0.06
    music_snr_db: tuple[float, float] = (5.0, 25.0)
    equaliser: Probability = 0.5
    equaliser_db: float = 6.0
    band: Probability = 0.3
    drift: Probability = 0.4
    drift_db: float = 6.0
    agc: Probability = 0.25
    overload: Probability = 0.12
    gate: Probability = 0.1
    opus: Probability = 0.15
    opus_kbit: tuple[float, float] = (6.0, 32.0)
    loss: Probability = 0.06
    loss_share: tuple[float, float] = (0.01, 0.1)
    gain_db: tuple[float, float] = (-18.0, 9.0)


class Augmenter:
    """Draws disturbances and applies them.

    Args:
        config: Probabilities and ranges.
        babble: Other utterances (float32, 16 kHz) that make up background talk; synthetic babble without them.
    """

    def __init__(self, config: AugmentConfig | None = None, babble: Sequence[Audio] = ()) -> None:
        self._config = config or AugmentConfig()
        self._babble = tuple(babble)

    def apply(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Disturb ``audio``.

        Args:
            audio: float32 (samples,), 16 kHz mono; it is not changed.
            rng: All choices come from it: the same state gives the same result.

        Returns:
            float32 of the same length within [-1, 1], every sound at the time where it was.
        """
        c = self._config
        gain = 10.0 ** (float(rng.uniform(*c.gain_db)) / 20.0)
        if not len(audio) or rng.random() < c.clean:
            return _limited(audio * np.float32(gain))
        sound = audio
        if rng.random() < c.reverb:
            sound = channel.reverberate(
                sound, rng, float(rng.uniform(*c.rt60_s)), float(rng.uniform(*c.direct_to_reverb_db))
            )
        sound = self._surround(sound, rng)
        sound = self._record(sound, rng) * np.float32(gain)
        if rng.random() < c.overload:
            sound = channel.clip_softly(sound, float(rng.uniform(1.0, 5.0)))
        return self._transmit(_limited(sound), rng)

    def _surround(self, sound: Audio, rng: np.random.Generator) -> Audio:
        c = self._config
        for probability in (c.noise, c.second_noise):
            if rng.random() < probability:
                kind = NOISES[int(rng.integers(len(NOISES) - 1))]
                noise = make_noise(kind, len(sound), rng, self._babble)
                sound = add_at_snr(sound, noise, float(rng.uniform(*c.noise_snr_db)))
        if rng.random() < c.music_bed:
            sound = add_at_snr(sound, make_noise("music", len(sound), rng), float(rng.uniform(*c.music_snr_db)))
        return sound

    def _record(self, sound: Audio, rng: np.random.Generator) -> Audio:
        c = self._config
        if rng.random() < c.equaliser:
            sound = channel.random_equaliser(sound, rng, c.equaliser_db)
        if rng.random() < c.band:
            kinds = tuple(channel.BANDS)
            sound = channel.limit_band(sound, kinds[int(rng.integers(len(kinds)))])
        if rng.random() < c.drift:
            sound = channel.drift_gain(sound, rng, c.drift_db)
        if rng.random() < c.agc:
            sound = channel.level_automatically(sound, float(rng.uniform(0.3, 0.9)))
        if rng.random() < c.gate:
            sound = channel.gate(sound, float(rng.uniform(25.0, 45.0)))
        return sound

    def _transmit(self, sound: Audio, rng: np.random.Generator) -> Audio:
        c = self._config
        if rng.random() < c.opus:
            application = ("voip", "audio", "lowdelay")[int(rng.integers(3))]
            sound = opus_round_trip(sound, int(1000 * rng.uniform(*c.opus_kbit)), application)
        if rng.random() < c.loss:
            share = float(rng.uniform(*c.loss_share))
            sound = channel.drop_packets(sound, rng, share, conceal=bool(rng.random() < 0.6))
        return _limited(sound)


def _limited(sound: Audio) -> Audio:
    return np.asarray(np.clip(sound, -1.0, 1.0), np.float32)


def insert_silence(utterance: Utterance, rng: np.random.Generator, longest_s: float = 2.0) -> Utterance:
    """Lengthen the pauses of an utterance, and begin and end it with silence; the phones move along.

    Silence goes into the middle of existing pauses, so no sound is cut.

    Args:
        utterance: Speech with phones.
        rng: Draws the lengths, each 0..``longest_s``.
        longest_s: Longest silence that is added in one place, in seconds.
    """
    audio, phones = utterance.audio, utterance.phones
    places = [0, *(round(0.5 * (p.start_s + p.end_s) * SAMPLE_HZ) for p in phones if p.symbol == "sil"), len(audio)]
    cuts = sorted({min(place, len(audio)) for place in places})
    lengths = [int(rng.uniform(0.0, longest_s) * SAMPLE_HZ) for _ in cuts]
    pieces: list[Audio] = []
    previous = 0
    for cut, length in zip(cuts, lengths, strict=True):
        pieces += [audio[previous:cut], np.zeros(length, np.float32)]
        previous = cut
    result = np.concatenate([*pieces, audio[previous:]])
    edges = np.array(cuts) / SAMPLE_HZ
    added = np.cumsum(lengths) / SAMPLE_HZ
    parts: list[tuple[str, float, int]] = [("sil", 0.0, 0)]
    for phone in phones:
        before = int(np.searchsorted(edges, phone.start_s, side="right"))
        parts.append((phone.symbol, phone.start_s + (added[before - 1] if before else 0.0), phone.stress))
    parts.append(("sil", len(audio) / SAMPLE_HZ + float(added[-2]) if len(added) > 1 else 0.0, 0))
    moved: list[Phone] = tile_phones(parts, len(result) / SAMPLE_HZ)
    return Utterance(result, moved, utterance.voice, utterance.text)
