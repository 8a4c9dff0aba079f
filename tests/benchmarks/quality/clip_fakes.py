"""Small clips whose pictures say what their landmarks are: a bright patch for the mouth, none for no face."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from engine.portrait.geometry import canonical68

FPS = 25
SIDE = 128
RATE = 48_000
NO_FACE = -1.0
_LOWER = (65, 66, 67, 55, 56, 57, 58, 59)


def face(opening: float = 0.0, size: float = 512) -> np.ndarray:
    """(68, 2) px of a face in a picture of ``size``, the lower lip ``opening`` (0..1) tenths of its width down."""
    points = canonical68()[:, :2].astype(np.float64) * size / 4 + size / 2
    points[list(_LOWER), 1] += 0.1 * opening * np.ptp(points[:, 0])
    return points.astype(np.float32)


def measure(rgb: np.ndarray) -> np.ndarray | None:
    """A landmark function for the clips written here: the left half's brightness is the mouth's opening."""
    level = float(rgb[16:-16, 16:48].mean())
    return None if level < 30 else face((level - 60) / 160, len(rgb))


def speech_like(frames: int, seed: int = 0) -> np.ndarray:
    """Openings (frames,) in 0..1 that change as syllables do."""
    noise = np.random.default_rng(seed).normal(size=frames + 2)
    smooth = noise[:-2] + 1.5 * noise[1:-1] + noise[2:]
    return np.clip(0.5 + 0.2 * smooth, 0, 1)


def pictures(openings: Sequence[float]) -> list[np.ndarray]:
    """Pictures of those openings: the level on the left, stripes that are sharp on the right."""
    right = np.tile([30] * 7 + [125] + [220] * 7 + [125], SIDE // 32)
    made = []
    for opening in openings:
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[:, : SIDE // 2] = 0 if opening == NO_FACE else round(60 + 160 * opening)
        picture[:, SIDE // 2 :] = right[None, :, None]
        made.append(picture)
    return made


def write_clip(
    path: Path, shown: Sequence[np.ndarray], sound: np.ndarray | None = None, fps: int = FPS, codec: str = "mpeg4"
) -> Path:
    """Write pictures, and sound float32 (samples,) at 48 kHz if any, as an MP4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=fps)
        video.height, video.width = shown[0].shape[:2]
        video.pix_fmt, video.bit_rate = "yuv420p", 8_000_000
        audio = None if sound is None else container.add_stream("aac", rate=RATE, layout="mono")
        for picture in shown:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound float32 (samples,) at 48 kHz unlike any of another seed."""
    rough = np.random.default_rng(seed).normal(size=int(seconds * RATE) + 12)
    return (0.2 * np.convolve(rough, np.ones(13) / 13, "valid")).astype(np.float32)


class Counted:
    """Gives landmark functions and counts the pictures they see."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray | None] = measure) -> None:
        self.function, self.seen = function, 0

    def __call__(self) -> Callable[[np.ndarray], np.ndarray | None]:
        def counting(rgb: np.ndarray) -> np.ndarray | None:
            self.seen += 1
            return self.function(rgb)

        return counting
