"""What a sound device is, and which one is meant by a name or a number. Nothing here touches the system."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streaming.live.live_errors import DeviceError

Side = Literal["input", "output"]


@dataclass(frozen=True)
class Device:
    """A microphone or an output, as the system names it.

    Attributes:
        name: Unique among those of its host, as a rule.
        side: ``input`` or ``output``.
        host: What it is reached through: ALSA, Core Audio, WASAPI, PulseAudio ...
        number: To choose it by, among all that were found.
        channels: As many as it has.
        rate_hz: That it prefers.
        default: Whether the system takes it when nothing is chosen.
        title: For people, where the name is a technical one.
    """

    name: str
    side: Side
    host: str
    number: int
    channels: int
    rate_hz: int
    default: bool = False
    title: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.title} ({self.name})" if self.title and self.title != self.name else self.name


def find_device(devices: Sequence[Device], side: Side, wanted: str | None) -> Device | None:
    """The device that is meant.

    Args:
        devices: All there are.
        side: Which side is wanted.
        wanted: A number, a name or a part of one, in any case; None for the system's default.

    Returns:
        None if there is no such device now.

    Raises:
        DeviceError: More than one has such a name.
    """
    candidates = [device for device in devices if device.side == side]
    if wanted is None:
        return next((device for device in candidates if device.default), candidates[0] if candidates else None)
    if wanted.isdecimal():
        return next((device for device in candidates if device.number == int(wanted)), None)
    name = wanted.casefold()
    exact = [device for device in candidates if name in (device.name.casefold(), device.title.casefold())]
    # Windows and Linux show one device through several hosts: the first host is the one that is preferred.
    alike = exact or [device for device in candidates if name in device.label.casefold()]
    hosts = {device.host for device in alike}
    if len(alike) > 1 and not exact and len(hosts) < len(alike):
        named = ", ".join(f"{device.number} {device.label}" for device in alike)
        raise DeviceError(f"{wanted!r} could be {named}: say more of the name, or the number.")
    return alike[0] if alike else None


def none_such(devices: Sequence[Device], side: Side, wanted: str | None) -> DeviceError:
    """The error for a device that is not there."""
    what = "microphone" if side == "input" else "sound output"
    there = [f"{device.number} {device.label}" for device in devices if device.side == side]
    if not there:
        return DeviceError(f"This machine has no {what}: plug one in, and see that the sound system runs.")
    named = f"no {what} {wanted!r}" if wanted is not None else f"no default {what}"
    return DeviceError(f"There is {named}; there are {', '.join(there)}.")
