"""What a machine needs to be somebody's avatar live, checked and said in plain words."""

import asyncio
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from engine.backend_onnx import available_providers
from engine.engine import Engine
from engine.errors import ConfigError, MienError, MissingExtraError
from engine.session import Session
from streaming.avatars import resolve_avatar
from streaming.live.audio_host import AudioHost
from streaming.live.camera import VirtualCamera
from streaming.live.devices import Device, find_device, none_such
from streaming.live.live_config import LiveConfig
from streaming.live.microphone import Microphone

_RATES: Final = (60, 30, 25, 20)
_COMFORTABLE_MS: Final = 60.0
"""Compute below which a frame rate is said to be held."""
_CABLES: Final = ("cable", "blackhole", "voicemeeter", "null output", "loopback", "virtual")
_BLOCK_MS: Final = 10.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: What.
        well: Whether it is as it should be; None where it can be done without.
        words: What was found, and what to do.
    """

    about: str
    well: bool | None
    words: str


def examine(config: LiveConfig, open_host: Callable[[], AudioHost] | None = None) -> Iterator[Finding]:
    """Look at everything, one after another; it takes about twenty seconds.

    Args:
        config: What is to be used.
        open_host: Gives the sound system; by default PortAudio.
    """
    try:
        host = (open_host or _portaudio)()
    except MissingExtraError as error:
        yield Finding("sound", False, str(error))
    else:
        try:
            yield from _sound(config, host)
        finally:
            host.close()
    yield _window(config)
    yield _camera(config)
    yield _gpu()
    yield from _speed(config)


def _portaudio() -> AudioHost:
    from streaming.live.portaudio import PortAudioHost

    return PortAudioHost()


def _sound(config: LiveConfig, host: AudioHost) -> Iterator[Finding]:
    devices = host.devices()
    try:
        device = find_device(devices, "input", config.microphone.device)
        if device is None:
            raise none_such(devices, "input", config.microphone.device)
        yield _hear(host, device, config)
    except MienError as error:
        yield Finding("microphone", False, str(error))
    yield _cable(devices, config)


def _hear(host: AudioHost, device: Device, config: LiveConfig) -> Finding:
    """Listen for a second."""
    from streaming.live.calibrate import listen

    heard = listen(host, config.microphone, 1.0)
    meter = Microphone(lambda *_: None)
    meter.on_sound(heard.samples[:, None], heard.rate_hz)
    level = meter.level.rms_db
    if level < -100:
        return Finding("microphone", None, f"{device.label} opens, but gives silence: see that it is not muted.")
    return Finding("microphone", True, f"{device.label} is heard at {level:.0f} dB ({heard.rate_hz} Hz).")


def _cable(devices: list[Device], config: LiveConfig) -> Finding:
    if config.output.voice is not None:
        found = find_device(devices, "output", config.output.voice)
        if found is None:
            return Finding("voice output", False, str(none_such(devices, "output", config.output.voice)))
        return Finding("voice output", True, f"The delayed voice goes to {found.label}.")
    cable = next(
        (
            device
            for device in devices
            if device.side == "output" and any(word in device.label.casefold() for word in _CABLES)
        ),
        None,
    )
    if cable is None:
        return Finding(
            "virtual cable",
            None,
            "There is none, so calls hear your bare voice before the lips move. Windows: VB-CABLE; macOS: BlackHole; "
            "Linux: pactl load-module module-null-sink sink_name=mien_cable.",
        )
    return Finding("virtual cable", True, f"{cable.label} is there: use it with --voice {cable.number}.")


def _window(config: LiveConfig) -> Finding:
    there = importlib.util.find_spec("pygame") is not None
    if there:
        return Finding("preview window", True, "pygame is installed.")
    wanted = config.output.window
    return Finding("preview window", not wanted and None, "pygame is not installed: pip install 'mien[live]'.")


def _camera(config: LiveConfig) -> Finding:
    try:
        camera = VirtualCamera(config.fps, config.output.camera_device)
    except MienError as error:
        return Finding("virtual camera", False if config.output.camera else None, str(error))
    try:
        return Finding("virtual camera", True, f"{camera.device} is there.")
    finally:
        camera.close()


def _gpu() -> Finding:
    providers = [name.removesuffix("ExecutionProvider") for name in available_providers()]
    others = [name for name in providers if name not in ("CPU", "Azure")]
    if others:
        return Finding("GPU", True, f"onnxruntime can use {', '.join(others)} beside the processor.")
    version = importlib.metadata.version("onnxruntime")
    return Finding(
        "GPU", None, f"onnxruntime {version} has the processor alone, which is what a live session is made for."
    )


def _speed(config: LiveConfig) -> Iterator[Finding]:
    """Begin a session at each frame rate, as `mien live` would, which measures the machine."""
    held: list[str] = []
    best: int | None = None
    try:
        for fps in _RATES:
            budget = asyncio.run(_measure(config, fps))
            if budget is None:
                held.append(f"{fps} fps: not held")
                continue
            total, compute = budget
            held.append(f"{fps} fps: {total:.0f} ms")
            if best is None and compute <= _COMFORTABLE_MS:
                best = fps
    except MienError as error:
        yield Finding("speed", False, str(error))
        return
    latencies = f"Latency of the engine with a lookahead of {config.lookahead} frames: {', '.join(held)}."
    if best is None:
        words = f"{latencies} No frame rate is held well as the machine is loaded now: close what else runs."
        yield Finding("speed", False, words)
    else:
        yield Finding("speed", True, f"{latencies} Best held: --fps {best}.")


async def _measure(config: LiveConfig, fps: int) -> tuple[float, float] | None:
    """L and its compute part in ms, by the engine's own measurement; None where it refuses."""
    avatar = resolve_avatar(config.avatar)
    async with Engine(device=config.device) as engine:
        session: Session = engine.session(
            avatar=avatar,
            fps=fps,
            lookahead=config.lookahead,
            gate=config.gate.settings(),
            chunk_ms=_BLOCK_MS + config.microphone.jitter_ms,
        )
        try:
            async with session:
                return session.budget.total_ms, session.budget.compute_ms
        except ConfigError:
            return None
