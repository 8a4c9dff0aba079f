"""Names of a PulseAudio (or PipeWire) server's devices, by its own tool ``pactl``.

PortAudio knows such a server as one device, ``pulse``, and cannot say which of its microphones that is; the client
library takes the name from the environment when a stream is opened. A stream whose device is unplugged is moved to
another one without a word, so that only the server's list tells.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Final

from streaming.live.devices import Device, Side

HOST: Final = "PulseAudio"
_PATIENCE_S: Final = 3.0
_KINDS: Final[dict[Side, tuple[str, str, str]]] = {
    "input": ("sources", "default_source_name", "PULSE_SOURCE"),
    "output": ("sinks", "default_sink_name", "PULSE_SINK"),
}


def pulse_devices(first_number: int) -> list[Device]:
    """All sources and sinks, numbered from ``first_number``; none without such a server, or without ``pactl``."""
    if shutil.which("pactl") is None:
        return []
    found: list[Device] = []
    about = _ask("info")
    if not isinstance(about, dict):
        return []
    for side, (kind, default, _) in _KINDS.items():
        entries = _ask("list", kind)
        for entry in entries if isinstance(entries, list) else []:
            name, spec = str(entry.get("name", "")), str(entry.get("sample_specification", ""))
            channels, rate = _specification(spec)
            found.append(
                Device(
                    name=name,
                    side=side,
                    host=HOST,
                    number=first_number + len(found),
                    channels=channels,
                    rate_hz=rate,
                    default=name == about.get(default),
                    title=str(entry.get("description") or ""),
                )
            )
    return found


def has_gone(device: Device) -> bool:
    """Whether the server answers, and has no such device any more; it takes some 5 ms to ask."""
    told = _run("list", "short", _KINDS[device.side][0])
    return bool(told) and device.name not in {line.split("\t")[1] for line in told.splitlines() if "\t" in line}


@contextlib.contextmanager
def chosen(device: Device) -> Iterator[None]:
    """While a stream is opened within, it is one of ``device``."""
    name = _KINDS[device.side][2]
    before = os.environ.get(name)
    os.environ[name] = device.name
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _specification(spec: str) -> tuple[int, int]:
    """Channels and rate of ``s16le 2ch 48000Hz``."""
    parts = spec.split()
    channels = next((int(part[:-2]) for part in parts if part.endswith("ch") and part[:-2].isdecimal()), 1)
    rate = next((int(part[:-2]) for part in parts if part.endswith("Hz") and part[:-2].isdecimal()), 48_000)
    return channels, rate


def _ask(*words: str) -> Any:
    try:
        return json.loads(_run("--format=json", *words))
    except ValueError:
        return None


def _run(*words: str) -> str:
    """What ``pactl`` prints; nothing if there is no server."""
    try:
        done = subprocess.run(
            ["pactl", *words],
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
