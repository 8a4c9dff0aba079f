"""What ``--device`` means to a command: what computes is tried out and said before work begins."""

import sys
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from engine.backends.devices import Device

DEVICE_HELP: Final = (
    "What computes: auto, cpu, cuda, tensorrt, native-tensorrt, torch-tensorrt, torch-compile, cuda-graph; "
    "see docs/gpu.md."
)
"""Written out: a command's help shall not load what computes."""


def choose_device(wanted: str) -> "Device":
    """What computes on this machine; where that is not what was asked for, standard error says why.

    Args:
        wanted: One of ``engine.backends.devices.DEVICES``.

    Raises:
        ConfigError: There is no such device.
    """
    from engine.backends.opening import resolve

    choice = resolve(wanted, lambda sentence: print(f"mien: {sentence}", file=sys.stderr))
    return cast("Device", choice.device)
