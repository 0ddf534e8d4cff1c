"""The page of a timeline in a real browser: it plays and seeks, and what it is given is text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from classify.labelling.aggregate import RULES, label_file
from classify.labelling.page import MOST_EMBEDDED, page, played_file, write_page
from classify.labelling.page_data import area_paths, shown_windows
from classify.labelling.timeline import UNSURE, Timeline
from embeddings_store.errors import MissingDependencyError, UsageError

pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser import NEEDS_BROWSER, WORST_CONTRASTS, addresses_asked, open_browser, show_as

HOSTILE = "</script><script>document.title='owned'</script>"
CLASSES = ("anger", "<img src=x onerror=\"document.title='owned'\">", "sadness")
NAME = 'a "talk" #1 <b>?.wav'
SECONDS = 30


def timeline(n: int = 2 * SECONDS - 1) -> Timeline:
    """Windows of a second every half second; the tenth has no answer, the third is unsure."""
    rng = np.random.default_rng(4)
    p = rng.dirichlet((0.5, 0.5, 0.5), size=n)
    p[3] = (0.4, 0.3, 0.3)
    codes = p.argmax(axis=1)
    answered = np.arange(n) != 10
    labels = np.where(answered, np.array(CLASSES)[codes], "").astype(object)
    labels[3] = UNSURE
    windows = pd.DataFrame({"start_s": 0.5 * np.arange(n), "end_s": 0.5 * np.arange(n) + 1})
    windows["label"] = labels
    windows["confidence"] = np.where(answered, p.max(axis=1), np.nan)
    for code, name in enumerate(CLASSES):
        windows[f"p:{name}"] = np.where(answered, p[:, code], np.nan)
    windows["answered_by"] = np.where(answered, "audio+text", "")
    windows["note"] = np.where(answered, "", f"audio: {HOSTILE}")
    windows["text"] = [HOSTILE if at == 0 else f"words {at}" for at in range(n)]
    of_file = {rule: label_file(rule, codes[answered], p[answered]) for rule in RULES}
    remarks = (f"a remark {HOSTILE}",)
    return Timeline(NAME, CLASSES, windows, of_file, 0.41, "", remarks, ("WA 70 %",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with a hostile name, and its page in a folder beside it."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "media").mkdir()
    soundfile.write(folder / "media" / NAME, np.zeros(SECONDS * 8000), 8000, format="WAV")
    write_page(folder / "out", timeline(), folder / "media" / NAME)
    return folder


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def shown(driver: webdriver.Chrome, folder: Path) -> webdriver.Chrome:
    show_as(driver, "light")
    driver.get((folder / "out" / NAME / "timeline.html").as_uri())
    WebDriverWait(driver, 20).until(lambda d: played(d)[1] > 0)
    return driver


def played(driver: webdriver.Chrome) -> tuple[float, float]:
    """Return where the player is, and how long the recording is."""
    found: list[Any] = driver.execute_script(
        "const m = document.getElementById('media'); return [m.currentTime, m.duration || 0]"
    )
    return found[0], found[1]


def click_at(driver: webdriver.Chrome, share: float) -> None:
    driver.execute_script(
        "const p = document.getElementById('plot'), b = p.getBoundingClientRect();"
        "p.dispatchEvent(new MouseEvent('click', "
        "{clientX: b.left + b.width * arguments[0], bubbles: true}))",
        share,
    )


@NEEDS_BROWSER
def test_it_plays_the_recording_and_seeks(shown: webdriver.Chrome) -> None:
    assert played(shown) == (0, SECONDS)
    click_at(shown, 0.5)
    assert played(shown)[0] == pytest.approx(SECONDS / 2, abs=0.1)
    assert shown.find_element(By.ID, "now-text").text in ("words 29", "words 30")
    current = shown.find_element(By.CSS_SELECTOR, "#list [aria-current]")
    assert "words" in current.text and current.text.startswith("0:1")
    shown.find_element(By.CSS_SELECTOR, "#list li:nth-child(21) button").click()
    assert played(shown)[0] == pytest.approx(10.25, abs=0.01)
    plot = shown.find_element(By.ID, "plot")
    plot.send_keys(Keys.ARROW_RIGHT)
    assert shown.find_element(By.ID, "now-text").text == "words 21"
    assert shown.execute_script("return document.getElementById('broken').hidden")
    Select(shown.find_element(By.ID, "zoom")).select_by_value("20")
    assert shown.execute_script(
        "const p = document.getElementById('plot'), s = document.getElementById('scroll');"
        "return p.clientWidth / s.clientWidth"
    ) == pytest.approx(1.5, rel=0.01)


@NEEDS_BROWSER
def test_what_it_is_given_stays_text_and_nothing_is_asked_for(
    shown: webdriver.Chrome, folder: Path
) -> None:
    assert shown.title == f"{NAME}: timeline of labels"
    assert shown.find_element(By.ID, "now-text").text == HOSTILE
    assert shown.find_element(By.TAG_NAME, "h1").text == NAME
    assert shown.find_elements(By.CSS_SELECTOR, "main img, main script, main b b") == []
    asked = addresses_asked(shown)
    media = (folder / "media" / NAME).as_uri()
    assert {address for address in asked if not address.startswith("data:")} <= {
        media, shown.current_url,
    }  # fmt: skip
    assert shown.get_log("browser") == []
    assert "unsure" in shown.find_element(By.CSS_SELECTOR, "#list li:nth-child(4)").text
    assert "no answer" in shown.find_element(By.CSS_SELECTOR, "#list li:nth-child(11)").text


@NEEDS_BROWSER
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)])
def test_it_can_be_read(shown: webdriver.Chrome, scheme: str, width: int) -> None:
    show_as(shown, scheme, width)
    worst: list[Any] = shown.execute_script(WORST_CONTRASTS)
    assert worst[0][0] >= 4.5, worst
    assert shown.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@NEEDS_BROWSER
def test_a_page_with_its_recording_inside_plays_alone(
    driver: webdriver.Chrome, folder: Path, tmp_path: Path
) -> None:
    made = write_page(tmp_path, timeline(), folder / "media" / NAME, embed=True)
    alone = made.rename(tmp_path / "alone.html")
    driver.get(alone.as_uri())
    WebDriverWait(driver, 20).until(lambda d: played(d)[1] == SECONDS)
    assert str(folder) not in alone.read_text(encoding="utf-8")


@NEEDS_BROWSER
def test_lines_of_a_text_have_a_page_without_a_player(
    driver: webdriver.Chrome, tmp_path: Path
) -> None:
    lines = timeline(12)
    lines = replace(lines, windows=lines.windows.assign(start_s=np.nan, end_s=np.nan))
    driver.get(write_page(tmp_path, lines, tmp_path / "talk.txt").as_uri())
    assert driver.find_elements(By.ID, "media") == []
    click_at(driver, 0.55)
    assert driver.find_element(By.ID, "now-time").text == "line 7"
    assert driver.find_element(By.ID, "now-text").text == "words 6"


def test_many_windows_are_shown_together() -> None:
    whole = timeline(1000)
    shown = shown_windows(whole, most=300)
    assert shown.together == 4 and len(shown.left) == 250
    p = whole.windows[[f"p:{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(shown.probabilities[5], p[20:24].mean(axis=0))
    np.testing.assert_allclose(shown.probabilities[2], p[[8, 9, 11]].mean(axis=0))
    assert len(area_paths(shown)[0]) < 100_000
    assert shown.left[0] == 0 and shown.right[-1] == 1
    assert (shown.right[:-1] <= shown.left[1:] + 1e-12).all()


def test_windows_that_leave_gaps_leave_them_in_the_picture() -> None:
    whole = timeline(4)
    table = whole.windows.assign(start_s=[0.0, 5.0, 9.0, 10.0], end_s=[2.0, 7.0, 10.0, 10.5])
    shown = shown_windows(replace(whole, windows=table))
    assert (shown.left * 10.5).round(9).tolist() == [0, 5, 9, 10]
    assert (shown.right * 10.5).round(9).tolist() == [2, 7, 10, 10.5]
    assert area_paths(shown)[0].count("M") == 3


def test_a_recording_that_is_too_large_is_not_embedded(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as handle:
        handle.truncate(MOST_EMBEDDED + 1)
    with pytest.raises(UsageError, match="leave out --embed"):
        played_file(tmp_path, timeline(), tmp_path / "film.mp4", embed=True)
    linked = played_file(tmp_path / "out", timeline(), tmp_path / "film.mp4", embed=False)
    assert (linked.kind, linked.source) == ("video", "../film.mp4")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"emotion-fusion\[report\].*--no-page"):
        page(timeline(), played_file(Path(), timeline(), Path("a.wav"), embed=False))
