"""Speech with phone times from espeak-ng, through its shared library.

Each utterance loads the library afresh: espeak-ng keeps flutter and prosody state between utterances, so that
otherwise the same text would sound different depending on what was spoken before. It costs about a millisecond.
"""

import _ctypes
import ctypes
import difflib
import os
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from engine.errors import ConfigError, MienError, MissingExtraError
from models.spec import SAMPLE_HZ
from training.corpus.phones import PHONES, split_symbol
from training.corpus.utterance import Utterance, tile_phones

_LIBRARY: Final = "libespeak-ng.so.1"
ESPEAK_HZ: Final = 22_050
_UP, _DOWN = 320, 441

_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS_IPA: Final = 0x01 | 0x02
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8: Final = 1
_EVENT_END, _EVENT_PHONEME = 0, 7

_CLOSURE_MAX_S: Final = 0.12
_CLOSURE_AFTER_PAUSE_S: Final = 0.07
_FRAME: Final = 44
_QUIET: Final = 0.03
_VOWEL_START_S: Final = 0.017
"""espeak-ng announces a vowel after its onset transition: so much too late after nasals and voiced stops between
vowels, measured over ten variants at 175 words a minute (32 ms at 110, 11 ms at 260)."""
_DEFAULT_WPM: Final = 175.0


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def espeak_available() -> bool:
    """Whether the espeak-ng library can be loaded on this machine."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    # A library that stays open would not start afresh in `speak`.
    _ctypes.dlclose(library._handle)
    return True


def speak(text: str, voice: str = "en-us", *, rate_wpm: int = 175, pitch: int = 50, pitch_range: int = 50) -> Utterance:
    """Speak ``text`` with espeak-ng.

    Args:
        text: What to say; it is read by the rules of the voice's language.
        voice: Language and variant, such as ``en-us+f3``, ``en-gb+klatt2``, ``de+m5``.
        rate_wpm: Words a minute, 80..450.
        pitch: Base pitch, 0..99.
        pitch_range: Width of the intonation, 0 (monotone)..99.

    Returns:
        The utterance at 16 kHz. The same arguments give the same samples, as long as no other thread draws
        from the C library's generator.

    Raises:
        MissingExtraError: espeak-ng is not installed.
        ConfigError: There is no such voice.
    """
    samples, events, marked = _synthesise(text, voice, rate_wpm, pitch, pitch_range)
    if not len(samples):
        samples = np.zeros(ESPEAK_HZ // 10, np.int16)
    audio = resample_poly(samples.astype(np.float32) / 32768.0, _UP, _DOWN).astype(np.float32)
    total_s = len(samples) / ESPEAK_HZ
    parts = _phone_parts(events, _stresses([name for name, _ in events], marked), total_s)
    parts = _correct_onsets(parts, samples, (_DEFAULT_WPM / max(rate_wpm, 80)) ** 1.2)
    return Utterance(audio, tile_phones(parts, len(audio) / SAMPLE_HZ), f"espeak:{voice}", text)


def _synthesise(
    text: str, voice: str, rate_wpm: int, pitch: int, pitch_range: int
) -> tuple[NDArray[np.int16], list[tuple[str, int]], list[str]]:
    """Samples, phoneme events (name, sample), and the phonemes of the text with their stress marks."""
    chunks: list[bytes] = []
    events: list[tuple[str, int]] = []

    def collect(wave: Any, count: int, first: Any) -> int:
        if wave and count:
            chunks.append(ctypes.string_at(wave, 2 * count))
        index = 0
        while first[index].type != _EVENT_END:
            event = first[index]
            if event.type == _EVENT_PHONEME:
                raw = ctypes.string_at(ctypes.addressof(event) + _Event.id.offset, 8).split(b"\0")[0]
                events.append((raw.decode("utf-8", "ignore"), int(event.sample)))
            index += 1
        return 0

    callback = _Callback(collect)
    library = _load_afresh()
    try:
        if library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA) != ESPEAK_HZ:
            raise MissingExtraError("espeak-ng has no voice data; install the Debian package espeak-ng-data.")
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ConfigError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices` lists the languages.")
        ctypes.CDLL(None).srand(1)
        for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, int(value), 0)
        marked = _phonemes_with_stress(library, text)
        data = text.encode()
        library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)
    return np.frombuffer(b"".join(chunks), np.int16), events, marked


def _load_afresh() -> ctypes.CDLL:
    try:
        held = ctypes.CDLL(_LIBRARY, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        pass
    else:
        _ctypes.dlclose(held._handle)
        # A second initialisation of a loaded library never returns.
        raise MienError("espeak-ng is already in use in this process; speak from one thread and nothing else.")
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise MissingExtraError("espeak-ng is not installed; install the Debian package espeak-ng.") from error


def _phonemes_with_stress(library: ctypes.CDLL, text: str) -> list[str]:
    translate = library.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    translate.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    buffer = ctypes.create_string_buffer(text.encode())
    pointer = ctypes.c_void_p(ctypes.addressof(buffer))
    phonemes: list[str] = []
    # One clause a call; the pointer is null when the text is used up. It can never need more calls than bytes.
    for _ in range(len(buffer)):
        if not pointer.value:
            break
        clause = translate(ctypes.byref(pointer), _UTF8, 0x02 | (ord("_") << 8))
        phonemes += [p for p in (clause or b"").decode("utf-8", "ignore").replace(" ", "_").split("_") if p]
    return phonemes


def _stresses(names: list[str], marked: list[str]) -> list[int]:
    """Stress of every event: espeak-ng marks it in the text's phonemes, which are matched to the events."""
    plain = [m.strip("ˈˌ") for m in marked]
    stresses = [0] * len(names)
    for block in difflib.SequenceMatcher(None, names, plain, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            mark = marked[block.b + k]
            stresses[block.a + k] = 1 if "ˈ" in mark else 2 if "ˌ" in mark else 0
    return stresses


def _phone_parts(events: list[tuple[str, int]], stresses: list[int], total_s: float) -> list[tuple[str, float, int]]:
    parts: list[tuple[str, float, int]] = []
    for index, ((name, sample), stress) in enumerate(zip(events, stresses, strict=True)):
        start = sample / ESPEAK_HZ
        end = events[index + 1][1] / ESPEAK_HZ if index + 1 < len(events) else total_s
        if not name:
            parts.append(("sil", start, 0))
        elapsed = 0.0
        for symbol, share in split_symbol(name):
            vowel = PHONES[symbol].manner == "vowel"
            parts.append((symbol, start + elapsed * (end - start), stress if vowel else 0))
            elapsed += share
    return parts


def _correct_onsets(
    parts: list[tuple[str, float, int]], samples: NDArray[np.int16], pace: float
) -> list[tuple[str, float, int]]:
    """Put stops where they close and vowels where they begin.

    espeak-ng announces a stop at its burst, the silent closure before it belongs to the phone before; and a vowel
    when its onset transition is over.
    """
    envelope = np.abs(samples[: len(samples) // _FRAME * _FRAME].astype(np.float32)).reshape(-1, _FRAME).max(1)
    corrected: list[tuple[str, float, int]] = []
    for index, (symbol, start, stress) in enumerate(parts):
        phone = PHONES[symbol]
        previous = parts[index - 1][0] if index else "sil"
        earliest = corrected[-1][1] if corrected else 0.0
        if phone.manner in ("stop", "affricate") and symbol != "DX":
            if previous == "sil":
                start = max(start - _CLOSURE_AFTER_PAUSE_S, 0.5 * (earliest + start))
            else:
                start = max(_quiet_since(envelope, start), start - _CLOSURE_MAX_S, 0.7 * earliest + 0.3 * start)
        elif phone.manner == "vowel":
            before = PHONES[previous]
            medial = index > 1 and PHONES[parts[index - 2][0]].manner == "vowel"
            if before.voiced and (before.manner in ("nasal", "approximant") or (before.manner == "stop" and medial)):
                start = max(start - _VOWEL_START_S * pace, 0.5 * (earliest + start))
        corrected.append((symbol, start, stress))
    return corrected


def _quiet_since(envelope: NDArray[np.float32], start_s: float) -> float:
    """Where the silence that lasts until ``start_s`` begins; ``start_s`` itself where there is none."""
    stop = int(start_s * ESPEAK_HZ) // _FRAME
    floor = _QUIET * float(envelope[max(0, stop - 60) : stop + 1].max(initial=1.0))
    # The last two frames may hold the burst already.
    frame = max(stop - 2, 0)
    if not len(envelope) or envelope[min(frame, len(envelope) - 1)] >= floor:
        return start_s
    while frame > 0 and envelope[frame - 1] < floor:
        frame -= 1
    return frame * _FRAME / ESPEAK_HZ
