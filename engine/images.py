"""Pictures in and out of bytes: the engine's one door to OpenCV's codecs."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtefactError, OutputError


def use_opencv_threads(count: int) -> None:
    """Set how many threads one OpenCV call may use, for the whole process.

    For the program that owns the process: where pictures are drawn on several threads of its own, one each is
    fastest.
    """
    cv2.setNumThreads(count)


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG.

    Args:
        picture: uint8 (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Returns:
        The file's bytes.

    Raises:
        OutputError: The codec refused it.
    """
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA).astype(
            np.uint8, copy=False
        )
    ok, data = cv2.imencode(".png", picture)
    if not ok:
        raise OutputError("A picture could not be encoded as PNG.")
    return data.tobytes()


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Encode a picture as JPEG: some 2 ms for 512x512.

    Args:
        picture: uint8 (H, W, 3) RGB.
        quality: 0 to 100.

    Raises:
        OutputError: The codec refused it.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise OutputError("A picture could not be encoded as JPEG.")
    return data.tobytes()


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG that Mien wrote, uint8 (H, W, 3) RGB.

    Raises:
        ArtefactError: The bytes are no picture.
    """
    return decode_png(data)


def decode_png(data: bytes, *, grey: bool = False) -> NDArray[np.uint8]:
    """Decode a PNG that Mien wrote.

    Args:
        data: The file's bytes.
        grey: Expect one channel.

    Returns:
        uint8 (H, W) if ``grey``, else (H, W, 3) RGB.

    Raises:
        ArtefactError: The bytes are no picture.
    """
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if picture is None:
        raise ArtefactError("A picture of this artefact is damaged; create the artefact again.")
    if not grey:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return picture.astype(np.uint8, copy=False)
