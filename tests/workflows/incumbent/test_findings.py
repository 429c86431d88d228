"""Findings in words, as Markdown and as SARIF."""

from datetime import date

import pytest
from tests.workflows.incumbent.test_scan import DAY, PYTHON

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.findings import (
    MOST_MODELS,
    MOST_PLACES,
    by_model,
    finding,
    level,
    sarif,
    scan_markdown,
    sentence,
)
from freehold.workflows.incumbent.meaning import Word, meaning
from freehold.workflows.incumbent.scan import scan

FOUND_ON = date(2026, 11, 27)


def found(text, day=FOUND_ON):
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


SHOWN_ON = date(2026, 11, 29)


@pytest.mark.process
def test_models_that_end_come_first_with_their_places(tmp_path):
    for number in range(MOST_PLACES + 2):
        (tmp_path / f"gone{number}.py").write_text('ask(model="gpt-4-0613")\n')
    (tmp_path / "b.py").write_text('ask(model="gpt-4o-mini")\n')
    text = scan_markdown(scan((tmp_path,), as_of=SHOWN_ON), fail_within=30)
    lines = text.splitlines()
    assert lines[0] == "### ✕ Scan: 1 rented model is shut down, or will be within 30 days"
    assert lines[4].startswith("| ✕ | gpt\\-4\\-0613\\: shut down on")
    assert "and 2 more |" in lines[4]
    assert lines[-1] == f"{MOST_PLACES + 3} files read, as of 2026-11-29"


@pytest.mark.process
def test_names_of_files_write_no_markup_and_many_models_are_counted(tmp_path):
    (tmp_path / "@team `x` | y.py").write_text('ask(model="gpt-4-0613")\n')
    names = "\n".join(f'ask(model="gpt-4-0613-{number}x")' for number in range(3))
    (tmp_path / "more.py").write_text(names + "\n")
    text = scan_markdown(scan((tmp_path,), as_of=SHOWN_ON), fail_within=30)
    (row,) = [line for line in text.splitlines() if "@team" in line]
    assert "`@team 'x' \\| y.py:1:11`" in row
    found = scan((tmp_path,), as_of=SHOWN_ON)
    assert len(found.models) < MOST_MODELS


@pytest.mark.process
def test_results_have_levels_and_places(tmp_path):
    (tmp_path / "app.py").write_text(PYTHON)
    made = sarif(scan(tmp_path, as_of=DAY), fail_within=30)
    results = made["runs"][0]["results"]
    levels = {result["message"]["text"].split(":")[0]: result["level"] for result in results}
    assert levels["claude-sonnet-4-5-20250929"] == "error"
    assert levels["gpt-4o-2024-08-06"] == "warning"
    assert levels["openai"] == "note"
    rules = {rule["id"] for rule in made["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in results} <= rules
    assert results[0]["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1


@pytest.mark.process
def test_a_file_that_was_not_read_is_a_notification(tmp_path):
    (tmp_path / "broken file.py").write_bytes(b"\x7fELF\x00")
    run = sarif(scan(tmp_path, as_of=DAY), fail_within=30)["runs"][0]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    (told,) = invocation["toolExecutionNotifications"]
    assert "not text" in told["message"]["text"]
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "broken%20file.py"
