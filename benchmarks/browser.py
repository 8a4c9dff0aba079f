"""A headless Chromium whose microphone is a file: the other end of a call, for tests and benchmarks."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from engine.errors import MissingExtraError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
"""Nothing leaves for the outside, pages sound without a click and may have the microphone; a machine without a network
and with little shared memory will do."""


def missing() -> str | None:
    """What is not installed of that which ``browser`` needs, as a sentence; None if all is there."""
    if not any(map(shutil.which, NAMES)):
        return "Chromium is not installed (Debian: apt-get install chromium)."
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "Playwright, which steers Chromium, is not installed: pip install 'mien[dev]'."
    return None


SOFTWARE_GL: Final = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""For pages that draw with WebGL, on a machine without a GPU."""


@contextmanager
def browser(
    microphone: Path, *, width: int = 1280, height: int = 800, more_flags: Sequence[str] = ()
) -> Iterator["BrowserContext"]:
    """A browser with a profile of its own; closed at the end.

    Args:
        microphone: WAV file that its microphone gives, again and again from the moment that a page opens it.
        width: Of its pages, in CSS pixels.
        height: The same.
        more_flags: Beside those that are always given.

    Raises:
        MissingExtraError: Chromium or Playwright is not installed.
    """
    lack = missing()
    if lack is not None:
        raise MissingExtraError(lack)
    from playwright.sync_api import sync_playwright

    path = next(path for path in map(shutil.which, NAMES) if path is not None)
    flags = [*FLAGS, *more_flags, f"--use-file-for-fake-audio-capture={microphone}"]
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=flags, headless=True, viewport={"width": width, "height": height}
        )
        try:
            yield context
        finally:
            context.close()
