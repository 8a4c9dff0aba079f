"""Speech with phone times from flite, through its shared libraries.

slt, rms and awb are statistical (clustergen) voices, closest to people; kal16 and kal join diphones (kal at 8 kHz).
"""

import ctypes
from functools import cache
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from engine.errors import ConfigError, MissingExtraError
from models.spec import SAMPLE_HZ
from training.corpus.phones import PHONES, split_symbol
from training.corpus.utterance import Utterance, tile_phones

FLITE_VOICES: Final = ("slt", "rms", "awb", "kal16", "kal")
FLITE_F0_HZ: Final = {"slt": 172.0, "rms": 98.0, "awb": 126.0, "kal16": 95.0, "kal": 95.0}
"""Mean fundamental of each voice as it is."""


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


def flite_available() -> bool:
    """Whether flite's libraries can be loaded on this machine."""
    try:
        ctypes.CDLL("libflite_cmu_us_slt.so.1")
    except OSError:
        return False
    return True


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for part in ("usenglish", "cmulex"):
            ctypes.CDLL(f"libflite_{part}.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise MissingExtraError("flite is not installed; install the Debian package flite.") from error
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "flite_synth_text": (pointer, [text, pointer]),
        "utt_wave": (ctypes.POINTER(_Wave), [pointer]),
        "delete_utterance": (None, [pointer]),
        "utt_relation": (pointer, [pointer, text]),
        "relation_head": (pointer, [pointer]),
        "item_next": (pointer, [pointer]),
        "ffeature_string": (text, [pointer, text]),
        "ffeature_float": (ctypes.c_float, [pointer, text]),
        "feat_set_float": (None, [pointer, text, ctypes.c_float]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


@cache
def _voice(name: str) -> int:
    if name not in FLITE_VOICES:
        raise ConfigError(f"flite has no voice {name!r}; choose one of {', '.join(FLITE_VOICES)}.")
    _library()
    try:
        register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    except OSError as error:
        raise MissingExtraError(f"flite's voice {name} is not installed; install the package flite.") from error
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return int(register(None))


def speak(
    text: str, voice: str = "slt", *, stretch: float = 1.0, f0_hz: float | None = None, f0_spread: float = 0.12
) -> Utterance:
    """Speak ``text`` with flite.

    Args:
        text: English; characters outside ASCII are left out.
        voice: One of ``FLITE_VOICES``.
        stretch: Factor on all durations.
        f0_hz: Mean fundamental; the voice's own where none is given.
        f0_spread: Standard deviation of the fundamental as a share of its mean.

    Returns:
        The utterance at 16 kHz. The same arguments give the same samples, as long as no other thread draws
        from the C library's generator.

    Raises:
        MissingExtraError: flite is not installed.
        ConfigError: There is no such voice.
    """
    library, handle = _library(), _voice(voice)
    features = ctypes.cast(handle, ctypes.POINTER(_Voice)).contents.features
    mean = FLITE_F0_HZ[voice] if f0_hz is None else f0_hz
    for feature, value in (
        (b"duration_stretch", stretch),
        (b"int_f0_target_mean", mean),
        (b"int_f0_target_stddev", f0_spread * mean),
    ):
        library.feat_set_float(features, feature, value)
    # The vocoder's noise comes from the C library's generator.
    ctypes.CDLL(None).srand(1)
    utterance = library.flite_synth_text(text.encode("ascii", "ignore"), handle)
    try:
        wave = library.utt_wave(utterance).contents
        rate, count = wave.sample_rate, wave.num_samples
        samples = np.ctypeslib.as_array(wave.samples, (count,)).astype(np.float32) / 32768.0
        segments = _segments(library, utterance)
    finally:
        library.delete_utterance(utterance)
    if rate != SAMPLE_HZ:
        samples = resample_poly(samples, SAMPLE_HZ, rate)
    audio = np.ascontiguousarray(samples, np.float32)
    parts: list[tuple[str, float, int]] = []
    start = 0.0
    for symbol, end, stress in segments:
        elapsed = 0.0
        for name, share in split_symbol(symbol, arpabet=True):
            vowel = PHONES[name].manner == "vowel"
            parts.append((name, start + elapsed * (end - start), stress if vowel else 0))
            elapsed += share
        start = end
    return Utterance(audio, tile_phones(parts, len(audio) / SAMPLE_HZ), f"flite:{voice}", text)


def _segments(library: ctypes.CDLL, utterance: int) -> list[tuple[str, float, int]]:
    """(ARPAbet name, end in s, stress) of every segment."""
    segments = []
    item = library.relation_head(library.utt_relation(utterance, b"Segment"))
    while item:
        name = library.ffeature_string(item, b"name").decode()
        end = float(library.ffeature_float(item, b"end"))
        stress = library.ffeature_string(item, b"R:SylStructure.parent.stress")
        segments.append((name, end, 1 if stress == b"1" else 0))
        item = library.item_next(item)
    return segments
