"""Waiting in a browser for what a script says."""

import time


def until(page, script, *, arg=None, timeout_s=30.0):
    """Ask the page until it says yes. `wait_for_function` of Playwright evaluates within the page when it asks again,
    which the console's content policy forbids."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(script, arg):
        assert time.monotonic() < deadline, f"not so within {timeout_s} s: {script}"
        page.wait_for_timeout(50)
