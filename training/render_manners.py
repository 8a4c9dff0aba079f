"""``mien train manners``: clips of rendered people in four manners, to learn styles from and to judge them by.

Each manner has a clip to learn from and one that is kept out: other people, other words, other voices. Beside each
clip lie its exact labels, as those of ``mien train heads``.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.errors import OutputError
from models.spec import IMAGE_SIZE, MOTION_HZ
from training.corpus.heads import camera, grading, identity, lighting, looks, script
from training.corpus.heads.actor import Actor, Posed
from training.corpus.heads.background import draw_background
from training.corpus.heads.studio import Studio
from training.corpus.manners import MANNERS, act, manner_named
from training.corpus.media import write_clip
from training.render_heads import clip_labels, expose, open_studio, pose_row

SETS: Final = ("learn", "kept_out")
"""Folders of ``out``."""
_VOICES: Final = {"learn": "slt", "kept_out": "rms"}
_CAMERA_FU: Final = 12.0
_PLAINNESS: Final = 0.5
_PERSON, _SCENE, _PLAY = range(3)
"""Streams of randomness of a clip."""


class MannersConfig(BaseModel):
    """Options of ``mien train manners``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    assets: Path
    manners: str = Field(",".join(MANNERS), description="names, by comma")
    seconds: float = Field(16.0, gt=0, le=600, description="of each clip to learn from")
    kept_out_seconds: float = Field(10.0, gt=0, le=600, description="of each clip that is kept out")
    fps: int = Field(30, description="pictures a second, a divisor of 60")
    size: int = Field(IMAGE_SIZE, ge=64, le=2048, multiple_of=2, description="pixels of the square pictures")
    seed: int = Field(0, ge=0)
    samples: int = Field(4, ge=1, le=16, description="of each pixel")

    @model_validator(mode="after")
    def _sound(self) -> "MannersConfig":
        if self.fps < 1 or MOTION_HZ % self.fps:
            raise ValueError(f"fps must divide {MOTION_HZ}, not be {self.fps}")
        for name in self.names:
            manner_named(name)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The manners to render."""
        return tuple(name.strip() for name in self.manners.split(","))


def render_manners(config: MannersConfig) -> int:
    """Render the clips that are missing in ``config.out``.

    Returns:
        How many were rendered.

    Raises:
        ArtefactError: The MakeHuman data is not complete.
        MissingExtraError: moderngl, an EGL driver or flite is not installed.
        OutputError: The folder cannot be written.
    """
    made = 0
    for which in SETS:
        try:
            (config.out / which).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write {config.out}: {error.strerror or error}.") from error
        for name in config.names:
            target = config.out / which / f"{name}.mp4"
            if not target.exists():
                _render_clip(config, which, name, target)
                made += 1
    return made


def write_play(config: MannersConfig, which: str, name: str, shapes: tuple[str, ...]) -> script.Script:
    """What happens in a clip.

    Args:
        config: Options.
        which: One of ``SETS``.
        name: The manner.
        shapes: Names of the rig's shapes.

    Raises:
        MissingExtraError: flite is not installed.
    """
    seconds = config.seconds if which == SETS[0] else config.kept_out_seconds
    return act(MANNERS[name], shapes, _VOICES[which], seconds, config.fps, _rng(config, which, name, _PLAY))


def _render_clip(config: MannersConfig, which: str, name: str, target: Path) -> None:
    studio = open_studio(config.assets, config.size, config.samples)
    rng = _rng(config, which, name, _PERSON)
    person = identity.draw_person(rng, studio.targets)
    # Nobody out of the ordinary: what tells two clips apart shall be the manner.
    person = replace(person, local={name: _PLAINNESS * amount for name, amount in person.local.items()})
    look = looks.draw_look(rng, person, studio.assets)
    actor = Actor(studio, person, look)
    try:
        play = write_play(config, which, name, actor.rig.shapes)
        view = camera.frame_face(actor.template, config.size, _CAMERA_FU, 1.0, (0.0, 0.0))
        posed: list[Posed] = []
        pictures = _shoot(studio, actor, play, view, look.fairness, posed, _rng(config, which, name, _SCENE))
        # The clip comes last, so that labels lie beside every clip there is.
        hidden = target.with_name(f".{target.name}")
        write_clip(hidden, pictures, play.audio, config.fps)
        _write_labels(target, clip_labels(actor, play, posed, view))
        about = {
            "manner": name,
            "set": which,
            "fps": config.fps,
            "seed": config.seed,
            "voice": play.voices[0],
            "text": play.voices[1],
            "person": asdict(person),
            "look": asdict(look),
        }
        _write_text(target.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
        hidden.replace(target)
    finally:
        actor.close()


def _shoot(
    studio: Studio,
    actor: Actor,
    play: script.Script,
    view: camera.Camera,
    fairness: float,
    posed: list[Posed],
    rng: np.random.Generator,
) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a clip; ``posed`` gets each frame's geometry."""
    renderer, light = studio.renderer, lighting.draw_light(rng)
    backdrop = renderer.texture(draw_background(rng))
    grade = expose(actor, play, studio, view, light, grading.plain_grading(), backdrop, fairness)
    try:
        for row in range(len(play)):
            posed.append(pose_row(actor, play, row))
            yield grade.finish(renderer.render(posed[-1].bones, view, light, grade, backdrop), rng)
    finally:
        backdrop.release()


def _write_labels(target: Path, labels: dict[str, Any]) -> None:
    try:
        with target.with_suffix(".npz").open("wb") as file:
            np.savez_compressed(file, **labels)
    except OSError as error:
        raise OutputError(f"Cannot write {target.with_suffix('.npz')}: {error.strerror or error}.") from error


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error


def _rng(config: MannersConfig, which: str, name: str, stream: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, SETS.index(which), list(MANNERS).index(name), stream])
