"""Errors of the live desk, beside those of ``engine.errors``."""

from engine.errors import MienError


class DeviceError(MienError):
    """A microphone, a sound output, a camera or a window is not there or cannot be used."""

    exit_code = 2
