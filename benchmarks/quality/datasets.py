"""The paper's evaluation sets in their own layouts: which clips there are, and what their names say.

::

    RAVDESS     <root>/**/Actor_01/01-02-03-01-01-02-01.mp4     (archives Video_Speech_Actor_NN, Video_Song_Actor_NN)
    VoxCeleb2   <root>/test/mp4/id00017/VIDEO/00001.mp4         (and aac/, txt/, see training.corpus.voxceleb2)
    Obama       <root>/**/*.mp4                                 (weekly addresses, a file each, any folders)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.errors import InputError
from training.corpus.voxceleb2 import list_clips

RAVDESS_CODES: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("modality", {"01": "full-AV", "02": "video-only", "03": "audio-only"}),
    ("channel", {"01": "speech", "02": "song"}),
    (
        "emotion",
        dict(
            zip(
                ("01", "02", "03", "04", "05", "06", "07", "08"),
                ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
                strict=True,
            )
        ),
    ),
    ("intensity", {"01": "normal", "02": "strong"}),
    ("statement", {"01": "kids", "02": "dogs"}),
    ("repetition", {"01": "first", "02": "second"}),
    ("actor", {f"{number:02d}": f"{number:02d}" for number in range(1, 25)}),
)
"""The seven two-digit codes of a RAVDESS file name (Livingstone and Russo 2018), in order."""
_VIDEOS: Final = {".mp4", ".mov", ".mkv", ".webm", ".avi"}


@dataclass(frozen=True)
class SetClip:
    """A clip of a set.

    Attributes:
        name: Unique in the set, fit for a file name.
        video: Its pictures.
        sound: Its sound, the same file or one beside it.
        labels: What the set says about it.
    """

    name: str
    video: Path
    sound: Path
    labels: dict[str, str] = field(default_factory=dict)


def ravdess_labels(stem: str) -> dict[str, str] | None:
    """What a RAVDESS file name says; None where it is not one."""
    codes = stem.split("-")
    if len(codes) != len(RAVDESS_CODES):
        return None
    labels = {}
    for code, (label, meanings) in zip(codes, RAVDESS_CODES, strict=True):
        if code not in meanings:
            return None
        labels[label] = meanings[code]
    labels["sex"] = "male" if int(codes[-1]) % 2 else "female"
    return labels


def ravdess_clips(root: Path, channel: str | None = None) -> list[SetClip]:
    """The clips of RAVDESS that have both picture and sound, speech and song.

    Args:
        root: Folder with the unpacked archives.
        channel: ``speech`` or ``song`` alone.

    Raises:
        InputError: There are none.
    """
    _folder(root, "RAVDESS")
    clips: dict[str, SetClip] = {}
    for video in sorted(path for path in root.rglob("*") if path.suffix.lower() in _VIDEOS):
        labels = ravdess_labels(video.stem)
        if labels is None or labels["modality"] != "full-AV" or channel not in (None, labels["channel"]):
            continue
        clips.setdefault(video.stem, SetClip(video.stem, video, video, labels))
    if not clips:
        raise InputError(
            f"RAVDESS: {root} holds no full-AV clip such as Actor_01/01-01-01-01-01-01-01.mp4; unpack the video "
            "archives there."
        )
    return list(clips.values())


def voxceleb2_clips(root: Path, split: str = "test") -> list[SetClip]:
    """The clips of a split of VoxCeleb2.

    Args:
        root: Folder of the set.
        split: ``test`` or ``dev``.

    Raises:
        InputError: The layout is not there.
    """
    return [
        SetClip(
            f"{clip.speaker}_{clip.video_id}_{clip.name}",
            clip.video,
            clip.sound,
            {"speaker": clip.speaker, "video": clip.video_id},
        )
        for clip in list_clips(root, split)
    ]


def obama_clips(root: Path) -> list[SetClip]:
    """The weekly addresses: every video file below a folder.

    Raises:
        InputError: There are none.
    """
    _folder(root, "Obama weekly addresses")
    videos = sorted(path for path in root.rglob("*") if path.suffix.lower() in _VIDEOS)
    if not videos:
        raise InputError(f"Obama weekly addresses: {root} holds no video; put the downloaded addresses there.")
    names = ["_".join(video.relative_to(root).with_suffix("").parts) for video in videos]
    return [SetClip(name, video, video) for name, video in zip(names, videos, strict=True)]


def _folder(root: Path, what: str) -> None:
    if not root.is_dir():
        raise InputError(f"{what}: there is no folder {root}; give the folder of the set.")
