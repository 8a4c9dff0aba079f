"""Everything that is to be measured on a graphics card, in one command and in a given time.

::

    python3 benchmarks/card_run.py --out FOLDER --minutes 9 --wheels wheels

Needs this checkout, Python's own library and what a device computes with; nothing is fetched, nothing is installed but
the wheels that are given, into FOLDER. Each measurement is a process of its own: what fails, hangs or is not there does
not keep the rest from being measured. FOLDER then holds each measurement's figures and log, and ``summary.md``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
LEAST_S: Final = 10.0
"""What is begun with less time than this would not end."""
STEP_S: Final = 170.0
"""No measurement may take longer: engines of the paper's network are built in minutes."""
_ORDER: Final = ("cuda-graph", "native-tensorrt", "tensorrt", "cuda", "torch-compile", "torch-tensorrt")
"""Devices, those first that are likeliest to be there."""
_COMPILED: Final = ("torch-compile", "torch-tensorrt")


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        name: Of its files.
        command: Arguments of Python.
    """

    name: str
    command: tuple[str, ...]


def bench(device: str, preset: str, precision: str, most: int = 64) -> Step:
    """Speed of a device in batches of up to ``most``; see ``benchmarks.gpu_bench``."""
    options = ("--device", device, "--preset", preset, "--precision", precision, "--most", str(most))
    figures = ("--seconds", "0.5", "--live", "0")
    return Step(f"bench-{device}-{preset}-{precision}", ("-m", "benchmarks.card_step", "bench", *options, *figures))


def live(device: str, preset: str, precision: str) -> Step:
    """Sessions side by side in real time on a device: a step of its own, for each of them starts a process."""
    options = ("--device", device, "--preset", preset, "--precision", precision, "--most", "32")
    figures = ("--seconds", "0.05", "--live", "3")
    return Step(f"live-{device}-{preset}-{precision}", ("-m", "benchmarks.card_step", "bench", *options, *figures))


def verify(device: str, preset: str, precision: str, *, untrained: bool = False) -> Step:
    """Parity of a device with torch in float32, and of sessions together with each alone: ``mien export``."""
    options = ("--device", device, "--preset", preset, "--precision", precision)
    call = "from export.cli import app; app()"
    more = ("--untrained",) if untrained else ()
    return Step(f"verify-{device}-{preset}-{precision}", ("-c", call, "verify-device", *options, *more))


def plan(devices: Sequence[str]) -> list[Step]:
    """What is measured on those devices, what matters most first.

    Args:
        devices: That seem to be there; the order is this file's own.
    """
    there = [device for device in _ORDER if device in devices]
    if not there:
        return []
    first, others = there[0], [device for device in there[1:] if device not in _COMPILED]
    steps = [bench(first, "paper", "fp16"), verify(first, "lite", "fp16"), live(first, "paper", "fp16")]
    for device in others:
        steps += [bench(device, "paper", "fp16"), verify(device, "lite", "fp16")]
    steps += [bench(first, "lite", "fp16"), live(first, "lite", "fp16"), verify(first, "paper", "fp16", untrained=True)]
    # Each size of batch is compiled anew, some ten seconds for each graph.
    steps += [bench(device, "paper", "fp16", most=1) for device in _COMPILED if device in there[1:]]
    steps += [verify(first, "lite", "fp32"), verify(first, "lite", "bf16")]
    steps += [verify(device, "lite", "int8") for device in ("native-tensorrt", "tensorrt") if device in there]
    return steps + [bench(device, "lite", "fp16") for device in others]


def register(folder: Path, pyproject: Path = ROOT / "pyproject.toml") -> None:
    """Write what an installed Mien would tell of itself: where its commands and its devices on torch are."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    said = folder / f"mien-{project['version']}.dist-info"
    said.mkdir(parents=True, exist_ok=True)
    head = f"Metadata-Version: 2.1\nName: mien\nVersion: {project['version']}\n"
    (said / "METADATA").write_text(head, encoding="utf-8")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in entries.items()), ""]
    (said / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def prepare(out: Path, wheels: Path | None) -> dict[str, str]:
    """Install the wheels that were given, and the environment in which measurements run."""
    site = out / "site"
    register(site)
    if wheels is not None:
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--upgrade"]
        subprocess.run([*command, "--target", str(site), *map(str, sorted(wheels.glob("*.whl")))], check=True)
    paths = [str(site), str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    cache = {"MIEN_ENGINE_CACHE": str(out / "engines"), "TORCHINDUCTOR_CACHE_DIR": str(out / "inductor")}
    return {**os.environ, **cache, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}


def run(step: Step, out: Path, environment: Mapping[str, str], limit_s: float) -> str:
    """Make one measurement; ``done``, or why there is none."""
    report = out / f"{step.name}.json"
    with (out / f"{step.name}.log").open("w", encoding="utf-8") as log:
        try:
            done = subprocess.run(
                [sys.executable, *step.command, "--json", str(report)],
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                env=dict(environment),
                cwd=ROOT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"not done in {limit_s:.0f} s"
    if done.returncode == 0:
        return "done"
    said = (out / f"{step.name}.log").read_text(encoding="utf-8").strip().splitlines()
    return f"failed ({said[-1].strip() if said else 'without a word'})"


def summary(out: Path, outcomes: Mapping[str, str]) -> str:
    """The figures that count, as Markdown tables."""
    lines = [
        "| measurement | outcome | first frame | most frames a second | live at 60 fps | matrix rate |",
        "|" + "---|" * 6,
    ]
    for name, outcome in outcomes.items():
        if not name.startswith(("bench", "live")):
            continue
        cells = _speed(_read(out / f"{name}.json"))
        lines.append(f"| {name} | {outcome} | {' | '.join(cells)} |")
    lines += ["", "| parity | outcome | worst step | picture | batched against alone |", "|" + "---|" * 5]
    for name, outcome in outcomes.items():
        if name.startswith("verify"):
            cells = _parity(_read(out / f"{name}.json"))
            lines.append(f"| {name} | {outcome} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _speed(found: Mapping[str, Any]) -> list[str]:
    frames = [row for row in found.get("stages", ()) if row["stage"] == "whole frame"]
    if not frames:
        return [""] * 4
    best = max(frames, key=lambda row: row["per_s"])
    most = max((row["sessions"] for row in found["live"] if row["holds"]), default=0)
    return [
        f"{frames[0]['ms']['p50']:.2f} ms",
        f"{best['per_s']:.0f} in batches of {best['batch']}",
        "" if not found["live"] else f"{most} sessions" + (" and more" if found["live"][-1]["holds"] else ""),
        f"{best.get('matrix_share', 0):.0%} of {found['limits']['flops'] / 1e12:.0f} TFLOP/s",
    ]


def _parity(found: Mapping[str, Any]) -> list[str]:
    steps = [each["worst"] for name, each in found.items() if name in ("apc", "motion", "headpose")]
    pictures = [each for each in found.values() if isinstance(each, dict) and "face_psnr_db" in each]
    if not steps or not pictures:
        return [""] * 3
    batched = found.get("batched")
    said = "" if batched is None else f"{batched['worst']:.0e}, {batched['levels']} grey levels"
    return [f"{max(steps):.1e}", f"{pictures[0]['psnr_db']:.1f}, face {pictures[0]['face_psnr_db']:.1f} dB", said]


def _read(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return found


def measure(
    out: Path,
    environment: Mapping[str, str],
    minutes: float,
    *,
    now: Callable[[], float] = time.monotonic,
    make: Callable[[Step, Path, Mapping[str, str], float], str] = run,
) -> dict[str, str]:
    """Measure all that there is time for; the outcome of each, by name.

    Args:
        out: Where figures and logs are put.
        environment: As from ``prepare``.
        minutes: In all.
        now: The time, s.
        make: Makes one measurement.
    """
    end = now() + 60 * minutes
    looked = Step("devices", ("-m", "benchmarks.card_step", "devices"))
    outcomes = {"devices": make(looked, out, environment, STEP_S)}
    reasons: dict[str, str | None] = _read(out / "devices.json").get("missing", {})
    for device, reason in reasons.items():
        print(f"{device}: {reason or 'there'}", flush=True)
    for step in plan([device for device, reason in reasons.items() if reason is None]):
        left = end - now()
        outcomes[step.name] = "no time" if left < LEAST_S else make(step, out, environment, min(STEP_S, left))
        print(f"{step.name}: {outcomes[step.name]}, {max(0.0, end - now()):.0f} s left", flush=True)
        # Written after each, for whoever ends this before it is done.
        (out / "summary.md").write_text(summary(out, outcomes), encoding="utf-8")
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 where all was measured that was begun."""
    parser = argparse.ArgumentParser(description="Measure everything on this machine's card.")
    parser.add_argument("--out", type=Path, required=True, help="Folder for figures, logs and summary.md.")
    parser.add_argument("--minutes", type=float, default=9.0, help="In all.")
    parser.add_argument("--wheels", type=Path, help="Folder of wheels that this Python lacks.")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    environment = prepare(asked.out.resolve(), None if asked.wheels is None else asked.wheels.resolve())
    left = asked.minutes - (time.monotonic() - began) / 60
    outcomes = measure(asked.out.resolve(), environment, left)
    print((asked.out / "summary.md").read_text(encoding="utf-8") if (asked.out / "summary.md").exists() else outcomes)
    return 0 if len(outcomes) > 1 and all(outcome in ("done", "no time") for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
