"""What a figure was measured on, and how much memory a process holds."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless")
_MB = 1e6


def fingerprint() -> dict[str, Any]:
    """The machine, the interpreter and the libraries that a benchmark ran on; nothing that names its owner.

    Returns:
        ``cpu``, ``cores`` (that this process may use), ``memory_gb``, ``system``, ``python``, ``libraries`` and
        ``load`` (running tasks of the last minute: above ``cores`` the figures are not worth much).
    """
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def resident_mb(root: Path = Path("/proc")) -> float | None:
    """Resident memory of this process and its children, MB; None where the system does not say (not Linux).

    Args:
        root: Where the system's process files are.
    """
    try:
        return sum(_resident(root, pid) for pid in _family(root, os.getpid())) / _MB
    except (OSError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class Use:
    """What processes hold.

    Attributes:
        resident_mb: Memory, MB.
        threads: All of them.
    """

    resident_mb: float
    threads: int


def children_use(root: Path = Path("/proc")) -> Use | None:
    """What the processes hold that this one started, and theirs; None where the system does not say (not Linux).

    Args:
        root: Where the system's process files are.
    """
    try:
        children = _family(root, os.getpid())[1:]
        threads = sum(len(list((root / str(pid) / "task").iterdir())) for pid in children)
        return Use(sum(_resident(root, pid) for pid in children) / _MB, threads)
    except (OSError, ValueError, IndexError):
        return None


def _family(root: Path, pid: int) -> list[int]:
    found = [pid]
    for task in (root / str(pid) / "task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(root, int(child))
    return found


def _resident(root: Path, pid: int) -> int:
    pages = int((root / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
