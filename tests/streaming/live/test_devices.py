import pytest

from streaming.live.devices import Device, find_device, none_such
from streaming.live.live_errors import DeviceError
from tests.streaming.live.live_fakes import CABLE, HEADSET, MICROPHONE

ALL = [MICROPHONE, HEADSET, CABLE]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, MICROPHONE),
        ("1", HEADSET),
        ("headset", HEADSET),
        ("HEAD", HEADSET),
        ("microphone", MICROPHONE),
        ("2", None),
        ("cable", None),
        ("nothing like it", None),
    ],
)
def test_a_microphone_is_found_by_number_name_or_part_of_it(wanted: str | None, found: Device | None) -> None:
    assert find_device(ALL, "input", wanted) == found


def test_a_technical_name_and_a_title_both_name_it() -> None:
    device = Device("alsa_input.usb-7", "input", "PulseAudio", 4, 1, 48_000, title="Blue Yeti")
    assert find_device([device], "input", "blue yeti") == find_device([device], "input", "usb-7") == device


def test_what_could_be_two_devices_is_asked_about() -> None:
    twins = [Device(f"USB Mic {side}", "input", "Fake", n, 1, 48_000) for n, side in enumerate("AB")]
    with pytest.raises(DeviceError, match="0 USB Mic A, 1 USB Mic B"):
        find_device(twins, "input", "usb")
    assert find_device(twins, "input", "usb mic b") == twins[1]


def test_one_device_through_two_systems_is_one() -> None:
    both = [Device("USB Mic", "input", host, n, 1, 48_000) for n, host in enumerate(("MME", "WASAPI"))]
    assert find_device(both, "input", "usb") == both[0]


def test_what_is_missing_is_told_with_what_there_is() -> None:
    assert "there are 0 Desk Microphone, 1 Headset" in str(none_such(ALL, "input", "yeti"))
    assert "no sound output" in str(none_such([HEADSET], "output", None))
