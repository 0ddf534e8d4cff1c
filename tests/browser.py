"""A headless browser for tests of pages; tests that use it are skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = (
    next(filter(None, map(shutil.which, names)), None)
    for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
)
NEEDS_BROWSER = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
)
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--force-prefers-reduced-motion",
)
WORST_CONTRASTS = """
    const parts = c => c.match(/[\\d.]+/g).map(Number);
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const lum = c => {
        const [r, g, b] = parts(c).map(v => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if ((parts(c)[3] ?? 1) > 0) return c;
        }
        return 'rgb(255, 255, 255)';
    };
    const found = [];
    for (const e of document.querySelectorAll('body *:not(svg *)')) {
        const speaks = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if (!speaks || !e.checkVisibility() || e.matches(':disabled')) continue;
        const [a, b] = [lum(getComputedStyle(e).color), lum(behind(e))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found.push([contrast, e.tagName, e.className, e.textContent.slice(0, 40)]);
    }
    return found.sort((a, b) => a[0] - b[0]).slice(0, 3);"""


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """Start a browser that keeps its console and what it asks for, and end it."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


def show_as(driver: webdriver.Chrome, scheme: str, width: int = 1200) -> None:
    """Set the colour scheme and the width of the window."""
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )


def addresses_asked(driver: webdriver.Chrome) -> set[str]:
    """Return every address that the page has asked for since the last call."""
    asked = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    return {
        message["params"]["request"]["url"]
        for message in asked
        if message["method"] == "Network.requestWillBeSent"
    }
