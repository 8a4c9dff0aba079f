"""The page on which an avatar's points are corrected, beside a live desk that wears them."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.browser import SOFTWARE_GL, browser, missing
from benchmarks.served import served
from engine.artefacts.avatar import load_avatar, save_avatar
from streaming.avatars import shipped_avatars

ROOT = Path(__file__).parents[2]
SERVE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.browser.points_server import main; main()"
PATIENCE_MS = 60_000
TOUCH = """([from, to]) => {
  const view = document.getElementById("view");
  const send = (type, [clientX, clientY]) =>
    view.dispatchEvent(new PointerEvent(type, { pointerId: 1, pointerType: "touch", clientX, clientY, bubbles: true }));
  view.setPointerCapture = () => {};
  send("pointerdown", from);
  send("pointermove", to);
  send("pointerup", to);
}"""

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def visitor() -> Iterator[Any]:
    with browser(Path("/dev/null"), width=1100, height=760, more_flags=SOFTWARE_GL) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("avatars") / "mine.avatar"
    save_avatar(load_avatar(shipped_avatars()["ada"]), file)
    return file


@pytest.fixture(scope="module")
def address(mine: Path) -> Iterator[str]:
    with served(str(mine), command=(sys.executable, "-u", "-c", SERVE)) as found:
        yield found


@pytest.fixture
def page(visitor: Any, address: str) -> Iterator[Any]:
    """The page, with its points; it must have said nothing to the console but of saves that were refused."""
    opened = visitor.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(f"{address}/points?avatar=mine")
    opened.wait_for_selector("#points circle")
    yield opened
    opened.close()
    assert [text for text in said if "400" not in text] == []


def middle(page: Any, index: int) -> tuple[float, float]:
    box = page.locator(f"#points circle[data-index='{index}']").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def points(page: Any) -> np.ndarray:
    read = "(dots) => dots.map((dot) => [Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy'))])"
    return np.array(page.eval_on_selector_all("#points circle", read))


def irises(page: Any) -> np.ndarray:
    names = ["cx", "cy", "r"]
    read = "(rings, names) => rings.map((ring) => names.map((name) => Number(ring.getAttribute(name))))"
    return np.array(page.eval_on_selector_all("#irises circle", read, names))


def drag(page: Any, index: int, dx: float, dy: float) -> None:
    x, y = middle(page, index)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()


def save(page: Any) -> str:
    page.evaluate("() => { document.getElementById('said').textContent = ''; }")
    page.click("#save")
    page.wait_for_function("() => !['', 'Saving'].includes(document.getElementById('said').textContent)")
    return str(page.inner_text("#said"))


def test_points_are_dragged_saved_and_worn(page: Any, visitor: Any, address: str, mine: Path) -> None:
    before = load_avatar(mine)
    scale = 512 / page.locator("#view").bounding_box()["width"]
    desk = visitor.new_page()
    desk.set_viewport_size({"width": 512, "height": 512})
    desk.goto(f"{address}/obs?webrtc=0&background=%23000000")
    shows(desk, before.source_points[48:60])
    assert page.locator("#outline path").count() == 1 and page.is_disabled("#save")

    drag(page, 48, -12, 6)
    expected = before.source_points.astype(float)
    expected[48] += (-12 * scale, 6 * scale)
    np.testing.assert_allclose(points(page)[:68], expected, atol=0.02)
    assert "mine.avatar" in save(page)
    after = load_avatar(mine)
    np.testing.assert_allclose(after.source_points, expected, atol=0.02)
    assert np.abs(after.template - before.template).max() > 0.01 and np.abs(after.mesh - before.mesh).max() > 5
    assert page.is_disabled("#save") and page.locator("#points .moved").count() == 0
    shows(desk, after.source_points[48:60])
    desk.close()


def shows(desk: Any, lips: np.ndarray) -> None:
    """Wait until the source of OBS shows these points."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while True:
        shot = cv2.imdecode(np.frombuffer(desk.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        at = np.round(lips).astype(int)
        if (shot[at[:, 1], at[:, 0]] > 200).all():
            return
        assert time.monotonic() < end, "the live avatar does not wear these points"


def test_undo_redo_and_reset(page: Any) -> None:
    begin = points(page)
    drag(page, 17, 5, -10)
    first = points(page)
    page.click("text=Its line")
    drag(page, 26, 0, -10)
    second = points(page)
    moved = np.abs(second - first).max(1) > 1
    assert set(np.flatnonzero(moved)) == set(range(22, 27)), "a line goes together"
    page.click("#undo")
    np.testing.assert_array_equal(points(page), first)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(points(page), begin)
    assert page.is_disabled("#undo") and page.is_disabled("#save")
    page.keyboard.press("Control+y")
    page.click("#redo")
    np.testing.assert_array_equal(points(page), second)
    page.click("#reset")
    np.testing.assert_array_equal(points(page), begin)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(points(page), second)


def test_keyboard_touch_and_zoom(page: Any) -> None:
    begin = points(page)
    page.focus("#points .chosen")
    page.keyboard.press("PageDown")
    assert page.inner_text("#where").startswith("Point 38: Right eye 2")
    for key in ("ArrowUp", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    np.testing.assert_allclose((points(page) - begin)[37], (-5, -1), atol=0.01)
    page.click("[data-zoom=mouth]")
    before, (x, y) = points(page), middle(page, 57)
    page.evaluate(TOUCH, [[x + 10, y + 8], [x + 10, y + 48]])
    by = (points(page) - before)[57]
    size = float(page.get_attribute("#view", "viewBox").split()[2])
    assert size < 150 and by == pytest.approx((0, 40 * size / page.locator("#view").bounding_box()["width"]), abs=0.05)
    # Where no point is the picture itself is dragged.
    shown = page.get_attribute("#view", "viewBox")
    box = page.locator("#view").bounding_box()
    page.mouse.move(box["x"] + 15, box["y"] + box["height"] - 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] - 40)
    page.mouse.up()
    page.mouse.wheel(0, -200)
    assert page.get_attribute("#view", "viewBox") != shown
    np.testing.assert_array_equal(points(page)[:57], before[:57])


def test_an_iris_is_moved_by_its_middle_and_sized_by_its_edge(page: Any, mine: Path) -> None:
    before, scale = irises(page), 512 / page.locator("#view").bounding_box()["width"]
    np.testing.assert_allclose(before, load_avatar(mine).irises, atol=0.01)
    drag(page, 68, 4, 2)
    drag(page, 71, 3, 0)
    expected = before + np.array([[4 * scale, 2 * scale, 0], [0, 0, 3 * scale]])
    np.testing.assert_allclose(irises(page), expected, atol=0.02)
    assert "mine.avatar" in save(page)
    np.testing.assert_allclose(load_avatar(mine).irises, expected, atol=0.02)
    drag(page, 68, 90, 0)
    assert save(page) == "The right iris lies beside its eye: put it between the lids."
    page.click("#undo")


def test_a_face_that_is_none_is_refused_in_a_sentence(page: Any, mine: Path) -> None:
    before = mine.read_bytes()
    drag(page, 30, 90, 90)
    assert save(page) == "Point 31 lies far from where a face has it: put it back."
    assert page.inner_text("#where").startswith("Point 31") and mine.read_bytes() == before
    page.click("#undo")
    assert page.is_disabled("#save")
    page.select_option("#avatars", "ravi")
    page.wait_for_function("() => document.getElementById('file').textContent.includes('ships with Mien')")
    begin = points(page)
    drag(page, 30, 5, 5)
    page.keyboard.press("ArrowUp")
    np.testing.assert_array_equal(points(page), begin)


def test_a_narrow_screen_has_nothing_beside_it(page: Any) -> None:
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, width
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=button]")].filter((one) => {
          const labels = [...(one.labels ?? [])].map((label) => label.textContent);
          return !(one.getAttribute("aria-label") || one.textContent || labels.join("")).trim();
        }).map((one) => one.outerHTML)"""
    )
    assert nameless == []
