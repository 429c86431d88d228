"""Serving in a browser: each endpoint with its state, and what to do where no gateway runs."""

import pytest

pytestmark = pytest.mark.browser


def test_without_a_gateway_each_endpoint_stands_there_and_how_to_start_one(visit):
    page = visit.open("serving", waits="tbody tr")
    shown = page.locator("#screen").inner_text()
    assert "freehold up" in shown and "gateway is down" in shown
    assert page.locator("tbody tr", has_text="incumbent").count() == 1
    visit.clean()
