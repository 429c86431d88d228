"""The page of the strict checks agrees with its last run, and that run with what runs."""

from pathlib import Path

import pytest
import run
from checks import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def test_the_page_is_made_of_the_last_run_and_that_has_every_check():
    kept = run.load()
    assert PAGE.read_text() == run.page(kept), "run scripts/conformance"
    assert kept["checks"] == len(CHECKS) >= 140, "run scripts/conformance"


@pytest.mark.process
@pytest.mark.weights
@pytest.mark.timeout(3600)
def test_what_a_real_engine_gives_is_what_the_page_says():
    known = run.load()["failed"]
    # One API of the two, whose answers are all translated: all of them take as long as a twentieth of all tests.
    found = run.run("Anthropic")
    assert len(found) >= 40
    broken = {name: why for name, why in found.items() if why is not None and name not in known}
    assert not broken
