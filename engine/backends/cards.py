"""The graphics cards of this machine, as the driver's own tool names them; none where there is no such tool."""

import shutil
import subprocess
from dataclasses import dataclass

_TIMEOUT_S = 10
_FIELDS = ("name", "driver_version", "memory.total", "compute_cap")


@dataclass(frozen=True)
class Card:
    """One card.

    Attributes:
        name: As the driver names it.
        driver: Its version.
        memory_mb: All of it.
        capability: Compute capability, such as "9.0".
    """

    name: str
    driver: str
    memory_mb: int
    capability: str


def cards() -> tuple[Card, ...]:
    """The NVIDIA cards that this machine shows, in the driver's order."""
    return parse(_ask(",".join(_FIELDS)))


def watts() -> float | None:
    """What the first card draws now, W; None where it does not say."""
    try:
        return float(_ask("power.draw").splitlines()[0])
    except (ValueError, IndexError):
        return None


def used_mb() -> float | None:
    """Memory in use on the first card, MB; None where it does not say."""
    try:
        return float(_ask("memory.used").splitlines()[0])
    except (ValueError, IndexError):
        return None


def parse(text: str) -> tuple[Card, ...]:
    """Lines of name, driver, MB and capability, separated by commas; others are left out."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(_FIELDS) and parts[2].isdigit():
            found.append(Card(parts[0], parts[1], int(parts[2]), parts[3]))
    return tuple(found)


def _ask(fields: str) -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        done = subprocess.run(
            [tool, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
