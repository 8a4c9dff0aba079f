"""The virtual camera: the one place that imports ``pyvirtualcam``."""

from typing import Any

from engine.errors import MissingExtraError
from models.spec import IMAGE_SIZE
from streaming.live.live_errors import DeviceError
from streaming.serve.media.backdrop import Picture


class VirtualCamera:
    """A camera that other programs see: OBS's on Windows and macOS, v4l2loopback's on Linux."""

    name = "camera"

    def __init__(self, fps: int, device: str | None = None) -> None:
        """Open it.

        Args:
            fps: Pictures a second.
            device: Which, where there are several; by default the first.

        Raises:
            DeviceError: There is none.
            MissingExtraError: pyvirtualcam is not installed.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingExtraError("A virtual camera needs the [camera] extra: pip install 'mien[camera]'.") from error
        try:
            self._camera: Any = pyvirtualcam.Camera(IMAGE_SIZE, IMAGE_SIZE, fps, device=device)
        except (RuntimeError, ValueError) as error:
            raise DeviceError(
                f"There is no virtual camera ({' '.join(str(error).split())}). On Linux load one: modprobe "
                "v4l2loopback; on Windows and macOS install OBS and start its virtual camera once."
            ) from error

    @property
    def device(self) -> str:
        """What it is called."""
        return str(self._camera.device)

    def show(self, picture: Picture) -> None:
        """Send uint8 (512, 512, 3) RGB now.

        Raises:
            DeviceError: It is gone.
        """
        try:
            self._camera.send(picture)
        except (RuntimeError, OSError) as error:
            raise DeviceError(f"The virtual camera has gone: {error}.") from error

    def close(self) -> None:
        """Close it; closing twice is legal."""
        self._camera.close()
