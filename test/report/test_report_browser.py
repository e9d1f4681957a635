"""The report page in Debian's Chromium, driven by Playwright, opened from disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from found_hands import flat_hands, found

from handmesh_ros.hand.hands import Hands
from handmesh_ros.report.collector import Comparison, ReportCollector
from handmesh_ros.report.page import write_page
from handmesh_ros.report.truth import Truth

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
RIGHT, LEFT = (True, (0.12, 0.05, 0.5)), (False, (-0.12, 0.05, 0.5))


def scored(score: float, *placed) -> Hands:
    hands = flat_hands(*placed)
    return hands.replace(score=np.full(len(hands), score, np.float32))


@pytest.fixture(scope="module")
def report_file(tmp_path_factory) -> Path:
    """A page of four images, one of them without hands, with truth and another method."""
    import json

    folder = tmp_path_factory.mktemp("report")
    both = flat_hands(RIGHT, LEFT)
    true = [
        {"keypoints": both.keypoints_2d[i].tolist(), "handedness": ("right", "left")[i]}
        for i in range(2)
    ]
    labels = {"both.jpg": true, "right.jpg": true, "left.jpg": [true[1]], "none.jpg": []}
    (folder / "labels.json").write_text(json.dumps(labels))
    collector = ReportCollector(
        4,
        truth=Truth(folder / "labels.json"),
        comparison=Comparison("other", lambda image, intrinsics: (both, 5.0)),
    )
    for name, hands in (
        ("both.jpg", scored(0.95, RIGHT, LEFT)),
        ("right.jpg", scored(0.6, RIGHT)),
        ("left.jpg", scored(0.8, LEFT)),
        ("none.jpg", Hands.empty()),
    ):
        one = found(hands, name)
        with collector.writing(one.source):
            collector.add(one)
    target = folder / "report.html"
    write_page(target, collector.data("Four images", {"model": "none"}), collector.kept())
    return target


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, report_file):
    """The page; in the end the console is empty and no address was asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda one: messages.append(one.url) if "http" in one.url[:5] else None)
    page.goto(report_file.as_uri())
    page.wait_for_selector(".card[data-drawn]")
    yield page
    context.close()
    assert messages == []


def names(page) -> list[str]:
    return page.locator(".card .name").all_text_contents()


def open_image(page, name: str) -> None:
    page.locator(".card button", has_text=name).click()
    page.wait_for_selector("dialog[data-shown]")


def view(page) -> np.ndarray:
    """The pixels of the 3D view."""
    import cv2

    png = page.locator(".stage").screenshot()
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int)


def colored(pixels: np.ndarray) -> float:
    """The share of pixels that have a colour: the stage is nearly grey."""
    return float((np.ptp(pixels, axis=-1) > 40).mean())


def test_the_worst_image_comes_first_and_pictures_are_drawn(page):
    assert names(page) == ["right.jpg", "both.jpg", "left.jpg", "none.jpg"]
    assert "1 missed" in page.locator(".card").first.inner_text()
    page.wait_for_function("() => document.querySelectorAll('.card[data-drawn]').length === 4")
    has_color = """canvas => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4)
          if (Math.abs(data[i] - data[i + 2]) > 60) return true;
        return false;
    }"""
    drawn = [canvas.evaluate(has_color) for canvas in page.locator(".card canvas").all()]
    assert drawn == [True, True, True, False]  # grey where no hand is


def test_filters_and_orders(page):
    page.get_by_role("combobox", name="Hands").select_option("left")
    assert names(page) == ["both.jpg", "left.jpg"]
    assert page.locator(".count").inner_text() == "2 of 4 images"
    page.get_by_role("combobox", name="Hands").select_option("none")
    assert names(page) == ["none.jpg"]
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("combobox", name="Order").select_option("score")
    assert names(page)[:3] == ["right.jpg", "left.jpg", "both.jpg"]
    page.get_by_role("combobox", name="Faults").select_option("missed")
    assert names(page) == ["right.jpg"]
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("slider", name="lowest score").fill("0.7")
    assert sorted(names(page)) == ["both.jpg", "left.jpg"]
    page.get_by_role("slider", name="highest score").fill("0.9")
    assert names(page) == ["left.jpg"]
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("searchbox", name="Name").fill("RIGHT")
    assert names(page) == ["right.jpg"]


def test_a_hand_is_turned_by_mouse_keys_and_buttons(page):
    open_image(page, "both.jpg")
    canvas = page.locator("canvas.view")
    front = view(page)
    assert colored(front) > 0.02
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 150, steps=5)
    page.mouse.up()
    turned = view(page)
    assert (np.abs(turned - front).max(axis=-1) > 40).mean() > 0.01
    seen = canvas.get_attribute("data-camera")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    assert canvas.get_attribute("data-camera") != seen
    assert page.locator("#detail-name").inner_text() == "both.jpg"  # the hand turned, not the page
    page.get_by_role("button", name="view of the camera").click()
    assert (np.abs(view(page) - front).max(axis=-1) > 40).mean() < 0.002  # but for the button
    page.get_by_role("button", name="nearer").click()
    assert colored(view(page)) > colored(front)
    page.get_by_role("button", name="right 0.95").click()
    page.get_by_role("button", name="view of the camera").click()
    assert page.get_by_role("button", name="right 0.95").get_attribute("aria-pressed") == "true"
    page.get_by_role("checkbox", name="Mesh").uncheck()
    page.get_by_role("checkbox", name="Skeleton").uncheck()
    assert colored(view(page)) < 0.001


def test_the_dialog_is_walked_by_keys_and_gives_the_focus_back(page):
    open_image(page, "right.jpg")
    assert "1 of 4" in page.locator(".place").inner_text()
    assert page.url.endswith("#image-1")
    page.locator("dialog header button").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "() => document.getElementById('detail-name').textContent === 'both.jpg'"
    )
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".empty:visible")
    assert "No hand was found" in page.locator(".empty").inner_text()
    page.keyboard.press("m")
    assert not page.get_by_role("checkbox", name="Mesh").is_checked()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    page.wait_for_function(
        "() => document.activeElement.closest('.card')?.innerText.includes('none')"
    )
    assert "#" not in page.url


def test_an_address_opens_its_image_and_touch_turns_it(browser, report_file):
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(f"{report_file.as_uri()}#image-0")
    page.wait_for_selector("dialog[data-shown='0']")
    canvas = page.locator("canvas.view")
    seen = canvas.get_attribute("data-camera")
    box = canvas.bounding_box()
    session = context.new_cdp_session(page)
    x, y = box["x"] + 80, box["y"] + 80
    for kind, dx in (("touchStart", 0), ("touchMove", 30), ("touchMove", 70), ("touchEnd", None)):
        points = [] if dx is None else [{"x": x + dx, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(
        "seen => document.querySelector('canvas.view').dataset.camera !== seen", arg=seen
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("Escape")
    page.locator(".theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    context.close()


def test_every_control_has_a_name(page):
    open_image(page, "both.jpg")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, [role=img], canvas')]
            .filter(one => one.getAttribute('aria-hidden') !== 'true')
            .filter(one => !(one.getAttribute('aria-label') || one.innerText?.trim() ||
                             one.labels?.[0]?.innerText.trim()))
            .map(one => one.outerHTML)"""
    )
    assert nameless == []
