"""One measurement of ``benchmarks.card_run``, in a process of its own: ``python -m benchmarks.card_step``.

It needs neither a server's libraries nor an installed Mien, unlike ``mien bench gpu``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.gpu_bench import gpu_table, measure_gpu
from engine.artefacts.bundle import load_bundle
from engine.backends.cards import cards
from engine.backends.devices import DEVICES, detect, missing
from engine.backends.opening import resolve
from engine.errors import MienError
from streaming.avatars import resolve_avatar

_WIDTH: Final = 110


def main(arguments: list[str]) -> int:
    """Measure, or list what can be measured; the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.card_step")
    parser.add_argument("what", choices=("devices", "bench"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--most", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--live", type=float, default=3.0)
    parser.add_argument("--json", type=Path, required=True)
    asked = parser.parse_args(arguments)
    if asked.what == "devices":
        machine = detect()
        reasons = {device: missing(device, machine) for device in DEVICES if device != "auto"}
        found: dict[str, object] = {"cards": [vars(card) for card in cards()], "missing": reasons}
    else:
        try:
            if resolve(asked.device, lambda sentence: print(sentence, file=sys.stderr)).device != asked.device:
                # What would be measured instead has a turn of its own.
                return 2
            found = measure_gpu(
                asked.device,
                asked.preset,
                asked.precision,
                asked.most,
                asked.seconds,
                asked.live,
                resolve_avatar("ada"),
                load_bundle(),
            )
        except MienError as error:
            print(f"mien: {error}", file=sys.stderr)
            return error.exit_code
        Console(width=_WIDTH).print(gpu_table(found))
    asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
