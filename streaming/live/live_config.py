"""How ``mien live`` is set up: one TOML file in the platform's folder, and what the command line says over it."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.artefacts.bundle import RendererName
from engine.backends.devices import Device
from engine.errors import ConfigError, MissingExtraError, OutputError
from engine.stages.voice_gate import VoiceGateSettings
from streaming.live.hotkeys import DEFAULT_KEYS, read_action

Background = str
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MicrophoneConfig(_Part):
    """The microphone.

    Attributes:
        device: A number, a name or a part of one; by default the system's.
        gain_db: On everything.
        channel: The one that is heard, from 1; by default the mean of all.
        push_to_talk: Whether it is heard only while the key is down.
        jitter_ms: What a block may come late by; part of the latency.
    """

    device: str | None = None
    gain_db: float = Field(default=0.0, ge=-30, le=30)
    channel: int | None = Field(default=None, ge=1, le=64)
    push_to_talk: bool = False
    jitter_ms: float = Field(default=10.0, ge=0, le=200)


class GateConfig(_Part):
    """The noise gate: see ``engine.stages.voice_gate``.

    Attributes:
        on: Whether there is one.
        threshold_db: Level above which it opens, dBFS.
        hysteresis_db: It closes only this far below.
        attack_ms: How long opening takes.
        hold_ms: How long it stays open after the last sound that was loud enough.
        release_ms: How long closing takes.
    """

    on: bool = True
    threshold_db: float = Field(default=-42.0, ge=-90, le=0)
    hysteresis_db: float = Field(default=6.0, ge=0, le=30)
    attack_ms: float = Field(default=5.0, ge=0, le=500)
    hold_ms: float = Field(default=200.0, ge=0, le=5000)
    release_ms: float = Field(default=120.0, ge=0, le=5000)

    def settings(self) -> VoiceGateSettings | None:
        """For a session."""
        return VoiceGateSettings(**self.model_dump(exclude={"on"})) if self.on else None


class OutputConfig(_Part):
    """Where the avatar goes; everything may be on at once.

    Attributes:
        voice: Sound output for the delayed voice: a virtual cable, for OBS or a call. None for no voice.
        window: Whether there is a preview window.
        camera: Whether there is a virtual camera.
        camera_device: Its name, where the system has several.
        background: ``original``, ``transparent``, ``image``, or ``#rrggbb``.
        image: The picture behind the avatar, for the background ``image``.
        recordings: Folder of recordings.
        format: Of recordings: ``mp4``, or ``webm`` or ``mov`` with a transparent background.
    """

    voice: str | None = None
    window: bool = True
    camera: bool = False
    camera_device: str | None = None
    background: Background = "original"
    image: Path | None = None
    recordings: Path = Path("~/Videos/Mien")
    format: Literal["mp4", "webm", "mov"] = "mp4"

    @field_validator("background")
    @classmethod
    def _known(cls, given: str) -> str:
        if given not in ("original", "transparent", "image") and _COLOUR.fullmatch(given) is None:
            raise ValueError("a background is original, transparent, image, or a colour such as #00ff00")
        return given


class LiveConfig(_Part):
    """Everything.

    Attributes:
        avatar: A shipped avatar's name, an .avatar file, or a picture.
        avatars: More of them, to switch to.
        style: A shipped style's name, or none.
        intensity: Of the style.
        fps: Frames a second.
        lookahead: Motion frames (1/60 s) that the mouth hears ahead.
        latency: Of the engine in ms, or ``auto``.
        renderer: ``warp``, ``lite`` or ``paper``; by default the bundle's best that there is room for.
        device: What computes; see ``engine.backends.devices``.
        port: Of the pages and the control protocol, on this machine alone; 0 for any that is free.
        microphone: See ``MicrophoneConfig``.
        gate: See ``GateConfig``.
        output: See ``OutputConfig``.
        hotkeys: What a key of the preview window, or of the desk's page, does.
    """

    avatar: str = "ada"
    avatars: tuple[str, ...] = ()
    style: str = "none"
    intensity: float = Field(default=1.0, ge=0, le=1.5)
    fps: Literal[60, 30, 25, 20] = 30
    lookahead: int = Field(default=6, ge=0, le=18)
    latency: float | Literal["auto"] = "auto"
    renderer: RendererName | None = None
    device: Device = "cpu"
    port: int = Field(default=8000, ge=0, le=65535)
    microphone: MicrophoneConfig = MicrophoneConfig()
    gate: GateConfig = GateConfig()
    output: OutputConfig = OutputConfig()
    hotkeys: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_KEYS))

    @field_validator("hotkeys")
    @classmethod
    def _known_actions(cls, given: dict[str, str]) -> dict[str, str]:
        for key, action in given.items():
            try:
                read_action(action)
            except ConfigError as error:
                raise ValueError(f"key {key!r}: {error}") from error
        return given


def config_path() -> Path:
    """Where the file lies: ``MIEN_CONFIG`` if that is set, else ``live.toml`` in the platform's folder.

    Raises:
        MissingExtraError: The [live] extra is not installed.
    """
    if os.environ.get("MIEN_CONFIG"):
        return Path(os.environ["MIEN_CONFIG"])
    try:
        from platformdirs import user_config_path
    except ImportError as error:
        raise MissingExtraError("The live desk needs the [live] extra: pip install 'mien[live]'.") from error
    return user_config_path("mien", appauthor=False) / "live.toml"


def load_config(path: Path, changes: dict[str, Any] | None = None) -> LiveConfig:
    """Read the file, if there is one, with changes over it.

    Args:
        path: The file.
        changes: In the form of the file: tables in tables.

    Raises:
        ConfigError: The file is no such file, or a value leaves its range.
    """
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {error}.") from error
    try:
        return LiveConfig.model_validate(_merged(held, changes or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ConfigError(f"{place}: {message} (on the command line or in {path}).") from error


def save_config(config: LiveConfig, path: Path) -> None:
    """Write the file whole.

    Raises:
        OutputError: It cannot be written.
        MissingExtraError: The [live] extra is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtraError("Saving needs the [live] extra: pip install 'mien[live]'.") from error
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error


def _merged(held: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = dict(held)
    for key, value in changes.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both
