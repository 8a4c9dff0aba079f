"""The browser source of OBS and the desk's page in a real browser."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.browser import SOFTWARE_GL, browser, missing
from benchmarks.recording import at_48k, load_speech
from benchmarks.served import served
from benchmarks.webrtc_bench import write_wav
from engine.artefacts.avatar import load_avatar
from streaming.avatars import shipped_avatars

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "models" / "pretrained" / "demo" / "hello.flac"
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.desk_server import main; main()"
PATIENCE_MS = 60_000
BY = "(by) => document.documentElement.dataset.by === by"

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(command=(sys.executable, "-u", "-c", SERVE)) as found:
        yield found


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    microphone = tmp_path_factory.mktemp("voice") / "hello.wav"
    write_wav(microphone, at_48k(load_speech(HELLO)))
    with browser(microphone, width=512, height=512, more_flags=SOFTWARE_GL) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def page(visitor: Any) -> Iterator[Any]:
    """A page that must have said nothing to the console when the test ends."""
    opened = visitor.new_page()
    said: list[str] = []
    # What the browser says of its own drawing (that WebGL reads pixels back slowly) is not the page's.
    opened.on("console", lambda message: said.append(message.text) if "GL Driver" not in message.text else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    opened.close()
    assert said == []


def seen(page: Any) -> np.ndarray:
    """What the page shows, RGBA, where it paints nothing transparent."""
    data = page.screenshot(omit_background=True)
    shot = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if shot.shape[2] == 3:
        shot = np.dstack([shot, np.full(shot.shape[:2], 255)])
    return shot[..., [2, 1, 0, 3]].astype(int)


def settles(page: Any, check: Callable[[np.ndarray], None]) -> None:
    """A call's first pictures are coarse: the check must hold at last."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while True:
        try:
            return check(seen(page))
        except AssertionError:
            if time.monotonic() > end:
                raise


def matte() -> np.ndarray:
    return load_avatar(shipped_avatars()["ada"]).matte


def shrunk(area: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.erode(area.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


@pytest.mark.parametrize(("way", "by"), [("", "webrtc"), ("&webrtc=0", "pictures")])
def test_obs_sees_the_person_alone(page: Any, address: str, way: str, by: str) -> None:
    page.goto(f"{address}/obs?background=transparent{way}")
    page.wait_for_function(BY, arg=by)
    truth = matte()
    outside, inside = shrunk(truth == 0, 8), shrunk(truth == 255, 8)
    edge = ~(outside | inside)
    assert outside.sum() > 30_000 and inside.sum() > 60_000

    def check(picture: np.ndarray) -> None:
        alpha = picture[..., 3]
        assert alpha[outside].mean() < 0.5 and np.percentile(alpha[outside], 99.9) < 16, "nothing where nobody is"
        assert alpha[inside].mean() > 254 and np.percentile(alpha[inside], 0.1) > 235, "all of the person"
        assert ((alpha > 30) & (alpha < 225) & edge).sum() > 1000, "soft between"
        assert np.abs(alpha - truth)[edge].mean() < 20, "as soft as the hair is"

    settles(page, check)


def test_a_colour_lies_behind_in_this_source_alone(page: Any, address: str) -> None:
    page.goto(f"{address}/obs?background=%230000ff")
    page.wait_for_function(BY, arg="webrtc")

    def check(picture: np.ndarray) -> None:
        assert (picture[..., 3] == 255).all()
        assert np.abs(picture[4:40, 4:40] - [0, 0, 255, 255]).max() <= 3
        assert picture[300, 256, 0] > 100, "somebody is there"

    settles(page, check)


def test_the_avatars_own_background_can_be_had(page: Any, address: str) -> None:
    page.goto(f"{address}/obs?background=original")
    page.wait_for_function(BY, arg="webrtc")
    corner = load_avatar(shipped_avatars()["ada"]).plate[10:60, 10:60].astype(int)

    def check(picture: np.ndarray) -> None:
        assert (picture[..., 3] == 255).all()
        assert np.abs(picture[10:60, 10:60, :3] - corner).mean() < 8

    settles(page, check)


def test_the_desk_steers_what_everybody_sees(page: Any, address: str) -> None:
    page.goto(f"{address}/desk")
    page.wait_for_selector("#avatars option", state="attached")
    page.wait_for_function("() => document.getElementById('device').textContent.includes('Desk Microphone')")
    page.click("button[data-name=smile]")
    page.wait_for_selector("button[data-name=smile][aria-pressed=true]")
    page.keyboard.press("m")
    page.wait_for_selector("#mute[aria-pressed=true]")
    page.keyboard.press("m")
    page.wait_for_selector("#mute[aria-pressed=false]")
    page.select_option("#avatars", "ravi")
    page.wait_for_function("() => document.getElementById('avatars').value === 'ravi'")
    page.click("button[data-name=smile]")
    page.wait_for_selector("button[data-name=smile][aria-pressed=false]")
