"""A filmed clip in the engine's own framing: its first picture becomes the avatar, its crop that of every picture.

So a generated clip lies over its reference pixel by pixel, as the paper's figures need it (section 6.1: "trim the video
to retain the face in the center, then resize it to 512x512").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.tracks import read_pictures
from engine.artefacts.avatar import Avatar
from engine.errors import AudioError, InputError, PortraitError
from engine.portrait.build import build_avatar, find_face
from engine.portrait.crop import Crop, plan_crop
from engine.portrait.face_landmarks import FaceTracker
from models.spec import MEDIA_HZ
from streaming.media_in import SpeechFile
from streaming.media_out import Mp4Writer

MAX_FPS: Final = 120
PORTRAIT_WITHIN_S: Final = 1.0


@dataclass(frozen=True)
class FramedClip:
    """A clip ready to be imitated.

    Attributes:
        name: Of the clip.
        reference: The clip cut to 512x512, with its sound.
        avatar: Of its first picture, in the same crop.
        fps: Whole pictures a second.
        pictures: How many.
        portrait_s: Time of the picture that the avatar is of; the first one, unless its eyes are closed or the like.
    """

    name: str
    reference: Path
    avatar: Avatar
    fps: int
    pictures: int
    portrait_s: float = 0.0


def frame_clip(video: Path, sound: Path, target: Path, name: str, fps: int | None = None) -> FramedClip:
    """Cut a clip to the engine's framing and make an avatar of its first picture.

    Args:
        video: The clip.
        sound: Its sound, a file of its own or the same.
        target: The MP4 to write; one that is there already is used as it is.
        name: Of the clip and its avatar.
        fps: Pictures a second of the cut clip, the nearest in time; by default those of the clip, rounded.

    Raises:
        InputError: The clip cannot be read or has no sound.
        PortraitError: Its first picture cannot become an avatar.
        MissingExtraError: The face models are not there and cannot be fetched.
        OutputError: The cut clip cannot be written.
    """
    tracker = FaceTracker(static=True)
    time, first = _first_portrait(video, tracker)
    provenance = {"source": video.name, "rights": "as for the clip"}
    avatar = build_avatar(first, name=name, provenance=provenance, tracker=tracker)
    height, width = first.shape[:2]
    # The same plan that ``build_avatar`` has just made.
    crop = plan_crop(find_face(first, tracker), width, height)
    rate = fps or clip_rate(video)
    if not target.exists():
        _write(video, sound, target, crop, rate)
    return FramedClip(name, target, avatar, rate, sum(1 for _ in read_pictures(target)), time)


def _first_portrait(video: Path, tracker: FaceTracker) -> tuple[float, NDArray[np.uint8]]:
    """Time and picture of the first that can become an avatar, within a second; a clip may begin with a blink."""
    refusal: PortraitError | None = None
    for time, picture in read_pictures(video):
        if time > PORTRAIT_WITHIN_S:
            break
        try:
            find_face(picture, tracker)
        except PortraitError as error:
            refusal = refusal or error
            continue
        return time, picture
    raise refusal or InputError(f"{video} holds no picture that can be decoded; give a clip that plays.")


def clip_rate(video: Path) -> int:
    """A clip's pictures a second, to the nearest whole number.

    Raises:
        InputError: The clip cannot be read, or has fewer than two pictures.
    """
    times = [time for _, (time, _) in zip(range(50), read_pictures(video), strict=False)]
    if len(times) < 2 or times[-1] <= times[0]:
        raise InputError(f"{video} has fewer than two pictures; give a clip that plays.")
    return max(1, min(MAX_FPS, round((len(times) - 1) / (times[-1] - times[0]))))


def read_heard(sound: Path) -> NDArray[np.float32]:
    """A file's sound as the viewer hears it: float32 (channels, samples) at 48 kHz.

    Raises:
        AudioError: There is none.
    """
    with SpeechFile(sound) as speech:
        return np.concatenate([block.sound for block in speech.blocks()], axis=1)


def _write(video: Path, sound: Path, target: Path, crop: Crop, fps: int) -> None:
    try:
        heard = read_heard(sound)
    except AudioError as error:
        raise InputError(f"{video} has no sound that can be decoded, so nothing can speak it: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with Mp4Writer(target, fps=fps, channels=heard.shape[0]) as writer:
        pictures = read_pictures(video)
        time, picture = next(pictures)
        shown, interval = crop.picture(picture), 1 / fps
        for following, picture in pictures:
            # Of two pictures the nearer in time, of equally near ones the earlier.
            while writer.frames / fps <= (time + following) / 2 + 1e-9:
                writer.write_frame(shown)
            time, interval, shown = following, following - time, crop.picture(picture)
        while writer.frames < max(1, round((time + interval) * fps)):
            writer.write_frame(shown)
        writer.write_sound(heard[:, : round(writer.frames / fps * MEDIA_HZ)])
        writer.finish()
