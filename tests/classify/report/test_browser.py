"""The page in a real browser.

It works, asks the network for nothing, and whatever the run's files hold stays text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from classify.figures.results_folder import FinishedRun

pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser import (
    NEEDS_BROWSER,
    WORST_CONTRASTS,
    addresses_asked,
    open_browser,
    show_as,
)

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(driver: webdriver.Chrome, made: Path) -> webdriver.Chrome:
    driver.get((made / "report.html").as_uri())
    driver.execute_script("try { localStorage.clear() } catch {}")
    driver.refresh()
    return driver


def shown(driver: webdriver.Chrome) -> int:
    return int(driver.find_element(By.ID, "count").text.split(" ")[0].replace(",", ""))


def choose(driver: webdriver.Chrome, name: str, value: str) -> None:
    before = driver.find_element(By.ID, "utterances").get_attribute("innerHTML")
    Select(driver.find_element(By.NAME, name)).select_by_value(value)
    WebDriverWait(driver, 20).until(
        lambda d: d.find_element(By.ID, "utterances").get_attribute("innerHTML") != before
    )


def test_nothing_is_asked_of_the_network_and_the_console_is_silent(page: webdriver.Chrome) -> None:
    addresses = addresses_asked(page)
    assert addresses
    assert all(address.startswith(("file://", "data:")) for address in addresses), addresses
    assert page.get_log("browser") == []


def test_hostile_text_is_inert(page: webdriver.Chrome, made: Path) -> None:
    choose(page, "which", "all")
    choose(page, "order", "id")
    assert page.title == "toy: emotion recognition, results"
    texts = [element.text for element in page.find_elements(By.CSS_SELECTOR, ".said bdi")]
    assert "</script><script>document.title='owned'</script>" in texts
    assert "<img src=x onerror=\"document.title='owned'\">" in texts
    assert page.find_elements(By.CSS_SELECTOR, "main img, main script, main u, main i[class]") == []
    links = [a.get_attribute("href") for a in page.find_elements(By.CSS_SELECTOR, ".utterances a")]
    assert len(links) == 25
    assert all(link.startswith("file:///") and "/media/wav/" in link for link in links)
    assert (
        page.execute_script(
            "const d = document.createElement('div'); d.innerHTML = '<img src=\"data:,\" "
            'onerror="document.title=1">\'; document.body.append(d); return document.title'
        )
        != "1"
    )


def test_tables_sort_with_the_mouse_and_the_keyboard(page: webdriver.Chrome) -> None:
    head = page.find_element(By.CSS_SELECTOR, "#table-table5-early th:nth-child(2)")

    def column() -> list[float]:
        cells = page.find_elements(By.CSS_SELECTOR, "#table-table7 tbody td:nth-child(3)")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    recall = page.find_element(By.CSS_SELECTOR, "#table-table7 th:nth-child(3)")
    assert recall.get_attribute("aria-sort") == "none"
    recall.find_element(By.TAG_NAME, "button").click()
    assert (recall.get_attribute("aria-sort"), column()) == (
        "descending",
        sorted(column(), reverse=True),
    )
    recall.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert (recall.get_attribute("aria-sort"), column()) == ("ascending", sorted(column()))
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    values = [
        cell.text
        for cell in page.find_elements(By.CSS_SELECTOR, "#table-table5-early tbody td:nth-child(2)")
    ]
    assert values[-1] == "-"  # what has no number stays last
    assert head.get_attribute("aria-sort") == "descending"
    assert recall.get_attribute("aria-sort") == "ascending"


def test_the_browser_of_answers_filters_and_turns_pages(page: webdriver.Chrome, made: Path) -> None:
    run = FinishedRun.read(made)
    answers = run.answers(run.headline)
    wrong = answers["y_true"] != answers["y_pred"]
    assert shown(page) == wrong.sum()
    choose(page, "which", "all")
    assert shown(page) == len(answers)
    truth = run.classes[0]
    choose(page, "truth", "0")
    assert shown(page) == (answers["y_true"] == truth).sum()
    page.find_element(By.CSS_SELECTOR, "#filters button[type=reset]").click()
    WebDriverWait(page, 20).until(lambda d: shown(d) == wrong.sum())
    choose(page, "which", "all")
    choose(page, "fold", "2")
    assert shown(page) == (answers["fold"] == 2).sum()
    choose(page, "fold", "")
    first = page.find_element(By.CSS_SELECTOR, "#utterances li").text
    page.find_element(By.ID, "after").click()
    assert page.find_element(By.ID, "page").text == "26 to 50"
    assert page.find_element(By.CSS_SELECTOR, "#utterances li").text != first
    words = page.find_element(By.NAME, "words")
    words.send_keys("U007")
    WebDriverWait(page, 20).until(lambda d: shown(d) == 1)
    words.clear()
    words.send_keys(" ")
    WebDriverWait(page, 20).until(lambda d: shown(d) == len(answers))
    page.find_element(By.NAME, "least").send_keys("1e9")
    WebDriverWait(page, 20).until(lambda d: shown(d) == 0)
    assert page.find_element(By.ID, "after").get_attribute("disabled")


def test_a_count_of_the_confusion_table_shows_its_utterances(
    page: webdriver.Chrome, made: Path
) -> None:
    counts = pd.read_csv(made / "confusion.csv").filter(like="predicted:").to_numpy()
    button = page.find_element(
        By.CSS_SELECTOR, "#table-confusion tbody tr:nth-child(2) td:nth-child(3) button"
    )
    page.execute_script("arguments[0].click()", button)
    WebDriverWait(page, 20).until(lambda d: shown(d) == counts[1, 1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_the_reader(page: webdriver.Chrome, scheme: str) -> None:
    show_as(page, scheme)
    paper = "return getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(18, 22, 29)"
    expected = (light, dark) if scheme == "light" else (dark, light)
    assert page.execute_script(paper) == expected[0]
    page.find_element(By.ID, "theme").click()
    assert page.execute_script(paper) == expected[1]
    assert page.find_element(By.ID, "theme").text == (
        "Light theme" if scheme == "light" else "Dark theme"
    )
    page.refresh()
    assert page.execute_script(paper) == expected[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page: webdriver.Chrome, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every visible text of HTML on what is painted behind it."""
    show_as(page, scheme)
    worst: list[Any] = page.execute_script(WORST_CONTRASTS)
    assert worst[0][0] >= 4.5, worst


def test_a_phone_scrolls_in_one_direction(page: webdriver.Chrome) -> None:
    show_as(page, "light", 360)
    for details in page.find_elements(By.TAG_NAME, "details"):
        page.execute_script("arguments[0].open = true", details)
    widths = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert widths == [360, 360]


def test_values_show_under_the_pointer(page: webdriver.Chrome) -> None:
    show_as(page, "light")
    told = page.execute_script("""
        const part = document.querySelector('#figure12_confusion [data-tip]');
        const at = {bubbles: true, clientX: 20, clientY: 20};
        part.dispatchEvent(new PointerEvent('pointermove', at));
        const tip = document.getElementById('tip');
        return [tip.hidden, tip.textContent, part.dataset.tip];""")
    assert told[0] is False
    assert told[1] == told[2]
    assert told[1].startswith("<b>&\"' taken for <b>&\"': ")
    points = page.execute_script(
        "return document.querySelectorAll('#figure08_pca_text [data-tip]').length"
    )
    assert points == 30


def test_every_control_has_a_name_and_the_headings_are_in_order(page: webdriver.Chrome) -> None:
    nameless = page.execute_script("""
        const named = e =>
            e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim();
        const controls = [...document.querySelectorAll('button, input, select, a')];
        return controls.filter(e => e.checkVisibility() && !named(e)).map(e => e.outerHTML);""")
    assert nameless == []
    levels = page.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
