from typing import Any, ClassVar

import numpy as np
import pytest

from streaming.live.camera import VirtualCamera
from streaming.live.live_errors import DeviceError

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="the [camera] extra is not installed")


class Backend:
    """A camera without a kernel module."""

    sent: ClassVar[list[np.ndarray]] = []
    closed = 0
    gone = False

    def __init__(self, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any) -> None:
        if device == "missing":
            raise RuntimeError("no such device")
        assert (width, height) == (512, 512)
        self._device = device or "/dev/video7"

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> int | None:
        return None

    def send(self, frame: np.ndarray) -> None:
        if Backend.gone:
            raise RuntimeError("device removed")
        Backend.sent.append(frame.reshape(512, 512, 3).copy())

    def close(self) -> None:
        Backend.closed += 1


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"fake": Backend})
    monkeypatch.setattr(Backend, "sent", [])
    monkeypatch.setattr(Backend, "gone", False)


def test_it_is_sent_what_is_shown(backend: None) -> None:
    camera = VirtualCamera(30)
    picture = np.random.default_rng(1).integers(0, 255, (512, 512, 3), np.uint8)
    camera.show(picture)
    assert camera.device == "/dev/video7"
    camera.close()
    camera.close()
    np.testing.assert_array_equal(Backend.sent[0], picture)


def test_without_one_it_says_how_to_get_one(backend: None) -> None:
    with pytest.raises(DeviceError, match="v4l2loopback"):
        VirtualCamera(30, "missing")


def test_one_that_goes_ends_with_a_sentence(backend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = VirtualCamera(30)
    monkeypatch.setattr(Backend, "gone", True)
    with pytest.raises(DeviceError, match="has gone"):
        camera.show(np.zeros((512, 512, 3), np.uint8))
    camera.close()
