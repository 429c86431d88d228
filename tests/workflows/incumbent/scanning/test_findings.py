from datetime import date

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.findings import by_model, finding, level, sentence
from freehold.workflows.incumbent.meaning import Word, meaning

DAY = date(2026, 11, 27)


def found(text, day=DAY):
    word = Word(text, 1, 1, "string")
    return finding("a.py", word, meaning(word), day)


def test_levels_go_by_what_is_known():
    levels = {
        name: level(found(name), 30)
        for name in ("gpt-4", "grok-beta", "gpt-image-1.5", "gpt-4o", "command-r", "gpt-6-luna", "gpt-99")
    }
    assert levels == {
        "gpt-4": "error",
        "grok-beta": "error",
        "gpt-image-1.5": "error",
        "gpt-4o": "warning",
        "command-r": "warning",
        "gpt-6-luna": "note",
        "gpt-99": "note",
    }
    assert level(found("gpt-4o"), 60) == "error"
    assert level(found("gpt-image-1.5"), 0) == "warning"


def test_a_partial_name_fails_where_all_it_can_become_does():
    use = found(f"gpt-4.1-{HOLE}")
    assert level(use, 30) == "warning"
    assert level(use, 60) == "error"
    assert [(end.model, end.days_left) for end in use.becomes][:2] == [
        ("gpt-4.1-nano", -35),
        ("gpt-4.1-nano-2025-04-14", -35),
    ]
    assert (use.shutdown, use.status) == (date(2026, 10, 23), "ended")
    assert level(found(f"claude-3-5-{HOLE}"), 0) == "error"
    assert level(found(f"claude-{HOLE}"), 365) == "warning"  # it can become one that its vendor serves


def test_models_are_told_once_whatever_their_case():
    (one,) = by_model([found("gpt-4"), found("GPT-4")])
    assert one.places == ("a.py:1:1", "a.py:1:1")
    assert sentence(one).startswith("gpt-4: shut down on 2026-10-23")
