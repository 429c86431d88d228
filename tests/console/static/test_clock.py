"""A clock that is wrong: the browser's is never believed, and what the server dated into the future is drawn."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.console.conftest import serving_console, trace
from tests.workflows.tell.views import evidence

from freehold.store import open_store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NOW = datetime.now(UTC)


def said(visit, place, waits):
    """A screen's words, without what moves from one second to the next."""
    page = visit.open(place, waits=waits)
    visit.clean()
    return re.sub(r"\d+(\.\d+)? (s|min)\b", "T", page.locator("#screen").inner_text())


def test_a_browser_with_a_wrong_clock_says_the_same(visiting, tmp_path):
    project, _ = evidence.whole(tmp_path)
    with open_store(project.store_url) as store:
        store.add_traces(
            trace(number, NOW - timedelta(minutes=number), route=None, id=f"clock-{number:04d}")
            for number in range(20)
        )
    places = (
        ("overview", ".next"),
        ("traffic?window_s=3600", "[data-row]"),
        ("training?run=helpdesk-1", "text=Validation answers right"),  # the screen before has tiles, too
    )
    with serving_console(project) as address:
        right, wrong = visiting(address), visiting(address)
        wrong.page.clock.set_system_time(NOW - timedelta(days=4000))
        for place, waits in places:
            assert said(wrong, place, waits) == said(right, place, waits), place
