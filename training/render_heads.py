"""``mien train heads``: a corpus of rendered people who talk, each with exact labels.

Person k of a seed is the same on every run on one machine, whatever the other people and the number of processes.
"""

import hashlib
import logging
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from engine.errors import ConfigError, OutputError
from models.spec import IMAGE_SIZE, MOTION_HZ, SAMPLE_HZ
from training.corpus.heads import camera, grading, identity, lighting, looks, script, speech_pool
from training.corpus.heads.actor import Actor, Posed
from training.corpus.heads.assets import BASE_MESH, Assets, write_pack
from training.corpus.heads.background import draw_background, studio_background
from training.corpus.heads.expression import FaceInput
from training.corpus.heads.gl_renderer import HeadRenderer
from training.corpus.heads.mask_classes import MaskClass
from training.corpus.heads.person_shard import MANIFEST, PersonShard, ShardWriter
from training.corpus.heads.studio import Studio
from training.corpus.speech import SpeechSource

log = logging.getLogger(__name__)

NEUTRAL: Final = -1
"""Number of the canonical neutral person."""
_PERSON, _SCRIPT, _SCENE, _GRAIN, _SPLIT = range(5)
"""Streams of randomness of a person: a change to one leaves the others as they are."""
_SAME: Final = ("seconds", "fps", "stills", "size", "seed", "samples", "quality", "test_share")
"""Options that all people of a folder share."""


class HeadsConfig(BaseModel):
    """Options of ``mien train heads``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    assets: Path
    people: int = Field(100, ge=0, description="how many people")
    seconds: float = Field(8.0, gt=0, le=600, description="of talking, each")
    fps: int = Field(30, description="frames a second of talking, a divisor of 60")
    stills: int = Field(24, ge=0, description="further frames each: wide mouths, blinks, glances, turned heads")
    size: int = Field(IMAGE_SIZE, ge=64, le=2048, description="pixels of the square pictures")
    seed: int = Field(0, ge=0)
    jobs: int = Field(1, ge=1, description="processes that render at the same time")
    samples: int = Field(4, ge=1, le=16, description="of each pixel")
    quality: int = Field(95, ge=1, le=100, description="of the JPEGs")
    test_share: float = Field(0.1, ge=0, lt=1, description="of the people, kept out of training")
    neutral: bool = Field(True, description="render the canonical neutral person too")

    @model_validator(mode="after")
    def _whole_frames(self) -> "HeadsConfig":
        if self.fps < 1 or MOTION_HZ % self.fps:
            raise ValueError(f"fps must divide {MOTION_HZ}, not be {self.fps}")
        return self


def render_heads(config: HeadsConfig) -> int:
    """Render the people that are missing in ``config.out``; interrupted, it goes on where it stopped.

    Returns:
        How many were rendered.

    Raises:
        ArtefactError: The MakeHuman data is not complete.
        ConfigError: The folder holds people made with other options.
        MissingExtraError: moderngl, an EGL driver or a speech synthesiser is not installed.
        OutputError: The folder cannot be written.
    """
    Assets(config.assets)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write {config.out}: {error.strerror or error}.") from error
    _check_others(config)
    numbers = [NEUTRAL] * config.neutral + list(range(config.people))
    missing = [number for number in numbers if not person_folder(config.out, number).is_dir()]
    columns = (TextColumn("heads"), BarColumn(), MofNCompleteColumn(), TextColumn("people"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("heads", total=len(numbers), completed=len(numbers) - len(missing))
        for _ in _run(partial(render_person, config), missing, config.jobs):
            progress.advance(task)
    return len(missing)


def pack_heads(assets: Path, out: Path, seed: int, speech_s: float) -> int:
    """Pack what a machine without MakeHuman data and synthesisers needs to run ``render_heads``.

    Args:
        assets: MakeHuman data folder.
        out: File to write.
        seed: Of the speech.
        speech_s: Seconds of speech to record.

    Returns:
        Bytes written.

    Raises:
        ArtefactError: The data is not complete.
        MissingExtraError: No speech synthesiser is installed.
        OutputError: The file cannot be written.
    """
    return write_pack(Assets(assets), out, speech_pool.record_speech(seed, speech_s))


def person_folder(out: Path, number: int) -> Path:
    """Where a person lies."""
    return out / ("neutral" if number == NEUTRAL else f"p{number:05d}")


def render_person(config: HeadsConfig, number: int) -> Path:
    """Render one person.

    Args:
        config: Options.
        number: Which; ``NEUTRAL`` for the canonical one.

    Returns:
        The person's folder.

    Raises:
        ArtefactError: The MakeHuman data is not complete.
        MissingExtraError: moderngl, an EGL driver or a speech synthesiser is not installed.
        OutputError: The folder cannot be written.
    """
    studio = open_studio(config.assets, config.size, config.samples)
    person, look = _cast(config, number, studio)
    actor = Actor(studio, person, look)
    try:
        return _shoot(config, number, studio, actor, person, look)
    finally:
        actor.close()


def split_of(config: HeadsConfig, number: int) -> str:
    """``test`` for people kept out of training, else ``train``; the neutral person is nobody's face."""
    if number == NEUTRAL:
        return "train"
    return "test" if _rng(config, number, _SPLIT).random() < config.test_share else "train"


def _cast(config: HeadsConfig, number: int, studio: Studio) -> tuple[identity.Person, looks.Look]:
    if number == NEUTRAL:
        person = identity.average_person()
        return person, looks.neutral_look(person, studio.assets)
    rng = _rng(config, number, _PERSON)
    person = identity.draw_person(rng, studio.targets)
    return person, looks.draw_look(rng, person, studio.assets)


def _shoot(
    config: HeadsConfig, number: int, studio: Studio, actor: Actor, person: identity.Person, look: looks.Look
) -> Path:
    folder = person_folder(config.out, number)
    renderer, scene = studio.renderer, _rng(config, number, _SCENE)
    plain = number == NEUTRAL
    light = lighting.studio_light() if plain else lighting.draw_light(scene)
    view = (
        camera.frame_face(actor.template, config.size, 12.0, 1.0, (0.0, 0.0))
        if plain
        else camera.draw_camera(scene, actor.template, config.size)
    )
    grade = grading.plain_grading() if plain else grading.draw_grading(scene)
    backdrop = renderer.texture(studio_background() if plain else draw_background(scene))
    play = _write_script(config, number, actor.rig.shapes)
    grain = _rng(config, number, _GRAIN)
    grade = expose(actor, play, studio, view, light, grade, backdrop, look.fairness)
    posed: list[Posed] = []
    with ShardWriter(folder, config.quality) as shard:
        for row in range(len(play)):
            posed.append(pose_row(actor, play, row))
            picture = renderer.render(posed[-1].bones, view, light, grade, backdrop)
            shard.add(grade.finish(picture, grain), renderer.mask(posed[-1].bones, view))
        backdrop.release()
        manifest = {
            "name": folder.name,
            "number": number,
            "split": split_of(config, number),
            **{name: getattr(config, name) for name in _SAME},
            "talking_frames": int((play.kind == script.TALKING).sum()),
            "sample_hz": SAMPLE_HZ,
            "mask_classes": [kind.name.lower() for kind in MaskClass],
            "voices": list(play.voices),
            "person": asdict(person),
            "look": asdict(look),
            "versions": {"mien": version("mien"), "moderngl": version("moderngl"), "driver": renderer.driver},
            "provenance": _provenance(studio),
        }
        shard.finish(clip_labels(actor, play, posed, view), play.audio, manifest)
    return folder


def _write_script(config: HeadsConfig, number: int, shapes: tuple[str, ...]) -> script.Script:
    rng = _rng(config, number, _SCRIPT)
    first = (number + 1) * speech_pool.UTTERANCES_A_PERSON
    clip = script.talk(shapes, _speech(config.assets, config.seed), first, config.seconds, config.fps, rng)
    return script.join(clip, script.stills(shapes, config.stills, rng))


def pose_row(actor: Actor, play: script.Script, row: int) -> Posed:
    """A person in one frame of a script."""
    face = FaceInput(play.weights[row], play.gap[row], float(play.closure[row]), play.tongue[row])
    return actor.pose(face, play.gaze[row], play.pose[row], play.torso[row])


def expose(
    actor: Actor,
    play: script.Script,
    studio: Studio,
    view: camera.Camera,
    light: lighting.Light,
    grade: grading.Grading,
    backdrop: Any,
    fairness: float,
) -> grading.Grading:
    """Meter the first frame twice: the curve is not linear."""
    bones = pose_row(actor, play, 0).bones
    skin = studio.renderer.mask(bones, view) == MaskClass.SKIN
    for _ in range(2):
        grade = grade.expose(studio.renderer.render(bones, view, light, grade, backdrop), skin, fairness)
    return grade


def clip_labels(actor: Actor, play: script.Script, posed: list[Posed], view: camera.Camera) -> dict[str, NDArray[Any]]:
    """What a trainer wants to know of every frame; see docs/heads.md."""
    landmarks = np.stack([frame.landmarks for frame in posed])
    return {
        "camera": view.matrix.astype(np.float32),
        "template": actor.template,
        "landmarks": landmarks,
        "pixels": view.project(landmarks),
        "displacement": np.stack([frame.displacement for frame in posed]),
        "pose": play.pose,
        "torso": play.torso,
        "gaze": play.gaze,
        "closure": play.closure,
        "kind": play.kind,
        "weights": play.weights.astype(np.float16),
        "shapes": np.array(play.shapes),
        "phone_symbols": np.array([phone.symbol for phone in play.phones]),
        "phone_end_s": np.array([phone.end_s for phone in play.phones], np.float32),
    }


def _provenance(studio: Studio) -> dict[str, str]:
    return {
        "heads": "MakeHuman base mesh, targets and proxies (CC0)",
        "shapes": "ARKit shapes and visemes of the TalkingHead project (MIT)",
        "speech": "synthesised by flite and espeak-ng",
        "base_mesh_sha256": hashlib.sha256(studio.assets.read(BASE_MESH)).hexdigest(),
    }


def _check_others(config: HeadsConfig) -> None:
    """One person of the folder must have been made with the options that all share."""
    made = next(config.out.glob(f"*/{MANIFEST}"), None)
    if made is None:
        return
    other = PersonShard(made.parent)
    other.close()
    differing = [name for name in _SAME if other.manifest.get(name) != getattr(config, name)]
    if differing:
        raise ConfigError(
            f"{config.out} holds people made with another {', '.join(differing)}; give the same or another folder."
        )


def _rng(config: HeadsConfig, number: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, number + 1, stream])


@lru_cache(maxsize=1)
def open_studio(assets: Path, size: int, samples: int) -> Studio:
    """The studio of this process: one, for it holds the graphics context.

    Raises:
        ArtefactError: The MakeHuman data is not complete.
        MissingExtraError: moderngl or an EGL driver is not installed.
    """
    return Studio(Assets(assets), HeadRenderer(size, samples))


@lru_cache(maxsize=1)
def _speech(assets: Path, seed: int) -> script.SpeechPool:
    """A pack's recordings, else synthesisers."""
    return speech_pool.RecordedSpeech(Assets(assets)) if assets.is_file() else SpeechSource(seed)


def _run(job: "partial[Path]", numbers: list[int], jobs: int) -> Iterator[Path]:
    if jobs == 1 or len(numbers) < 2:
        yield from map(job, numbers)
        return
    # Spawned: a forked child would share the driver's state with its parent.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(numbers)), _one_thread_each) as pool:
        yield from pool.imap_unordered(job, numbers)


def _one_thread_each() -> None:
    """As many processes as cores: none of them needs threads of its own."""
    os.environ["LP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
