"""What docs/reference/redaction.md states holds: found and right no less than it says, mode by mode."""

import importlib.util

import pytest

from benchmarks import redaction
from freehold.privacy import patterns
from freehold.privacy.library import PresidioLibrary

FLOORS = {
    "patterns": {"account": 0.66, "national_id": 0.0, "person": 0.0, "address": 0.0},
    "pii": {"person": 0.0, "address": 0.0},
}
"""Recall by kind; all other kinds are found whole."""
WITH_LIBRARY = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None, reason="the extra pii is not installed"
)


def test_the_set_is_what_the_page_says_it_is():
    given = redaction.sentences()
    for language in ("en", "de", "fr", "es", "it", "nl", "pt", "pl"):
        kinds = [one.kind for one in given if one.language == language]
        assert all(kinds.count(kind) >= 3 for kind in redaction.KINDS) and kinds.count("none") >= 20
    assert {one.kind for one in given} == {*redaction.KINDS, "none"}
    assert all(one.end > one.start for one in given if one.kind != "none")


@pytest.mark.parametrize("mode", ["patterns", pytest.param("pii", marks=WITH_LIBRARY)])
def test_recall_and_precision_do_not_fall(mode):
    find = patterns.find if mode == "patterns" else PresidioLibrary(use_model=False).find
    figures = redaction.measure(find, redaction.sentences())
    for kind in redaction.KINDS:
        assert figures.recall_of(kind) >= FLOORS[mode].get(kind, 1.0), (kind, figures.missed)
    assert figures.precision >= 0.98, figures.wrong


@WITH_LIBRARY
def test_the_page_is_up_to_date():
    assert redaction.PAGE.read_text() == redaction.page(redaction.modes())


def test_a_find_counts_only_when_all_of_a_value_is_replaced():
    half = redaction.Sentence("en", "phone", "call 555 0147", 5, 13)
    assert redaction.measure(lambda _: [(patterns.Find(5, 8, "X"))], [half]).recall_of("phone") == 0
    whole = redaction.measure(lambda _: [patterns.Find(5, 13, "X"), patterns.Find(0, 4, "X")], [half])
    assert whole.recall_of("phone") == 1 and whole.precision == 0.5
