"""Screens in a real browser: milliseconds from the address to the first paint, and to the record drawn.

What is cold: the console has just been started, the kernel holds nothing of the store's file, and the browser has an
empty profile. What is warm: the same console, a new profile, and a record that has to be computed again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.console.project import Served, console, cpu_s, forget_pages
from freehold.workflows.project import Project

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FIRST_PAINT_MS = 1000.0
_FORGOTTEN_S = 2.5  # longer than a screen's record answers for
_FIRST = "performance.getEntriesByName('first-contentful-paint')"
_DRAWN = """(() => {
  sessionStorage.setItem("freehold-token", "%s");
  const seen = new MutationObserver(() => {
    if (window.drawnMs === undefined && document.querySelector("#screen > *:not([aria-busy])")) {
      window.drawnMs = performance.now();
      seen.disconnect();
    }
  });
  seen.observe(document, { childList: true, subtree: true });
})()"""


class Painted(NamedTuple):
    """Milliseconds, the median and the most of the times it was opened; `cpu_p50` is the console's processor time."""

    screen: str
    state: str
    first_p50: float
    first_most: float
    drawn_p50: float
    drawn_most: float
    cpu_p50: float
    times: int


def painted(project: Project, screens: tuple[str, ...], cold: int, warm: int) -> list[Painted]:
    """Each screen opened `cold` and `warm` times. Playwright is imported here: other parts do without it."""
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for screen in screens:
            found = []
            for _ in range(cold):
                forget_pages(project)
                with console(project) as served:
                    found.append(_opened(browser, served, screen))
            rows.append(_row(screen, "cold", found))
            with console(project) as served:
                _opened(browser, served, screen)
                found = []
                for _ in range(warm):
                    time.sleep(_FORGOTTEN_S)
                    found.append(_opened(browser, served, screen))
            rows.append(_row(screen, "warm", found))
        browser.close()
    return rows


def _opened(browser: Any, served: Served, screen: str) -> tuple[float, float, float]:
    before = cpu_s(served.process)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        context.add_init_script(_DRAWN % served.token)
        page = context.new_page()
        page.goto(f"{served.url}/#/{screen}")
        page.wait_for_function("() => window.drawnMs !== undefined", timeout=60_000)
        page.wait_for_function(f"() => {_FIRST}.length > 0")
        if page.query_selector("#problem .bad") is not None:
            raise SystemExit(f"{screen}: {page.inner_text('#problem')}")
        first = page.evaluate(f"{_FIRST}[0].startTime")
        cpu_ms = (cpu_s(served.process) - before) * 1000
        return float(first), float(page.evaluate("window.drawnMs")), cpu_ms
    finally:
        context.close()


def _row(screen: str, state: str, found: list[tuple[float, float, float]]) -> Painted:
    first, drawn, cpu = (sorted(one[place] for one in found) for place in range(3))
    middle = len(found) // 2
    return Painted(screen, state, first[middle], first[-1], drawn[middle], drawn[-1], cpu[middle], len(found))
