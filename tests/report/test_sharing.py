import re

import msgspec
from tests.report.sample_full import SECRET, full, private

from freehold.report import render, render_markdown, shareable
from freehold.report.page import records_of

PIECES = [SECRET[start : start + 12] for start in range(0, len(SECRET) - 12, 4)]


def outputs(report):
    return {
        "html": render(report),
        "markdown": render_markdown(report),
        "json": msgspec.json.encode(report).decode(),
    }


def test_the_test_would_notice():
    for name, text in outputs(private()).items():
        assert any(piece in text for piece in PIECES), name


def test_nothing_a_customer_wrote_is_in_what_is_shared():
    for name, text in outputs(shareable(private())).items():
        assert [piece for piece in PIECES if piece in text] == [], name


def test_figures_and_ids_stay():
    before, after = private(), shareable(private())
    kept, shared = before.candidates[0], after.candidates[0]
    assert after.is_shared and after.id == before.id
    assert [(kind, record.id) for kind, record in records_of(kept)] == [
        (kind, record.id) for kind, record in records_of(shared)
    ]
    numbers = ("n", "difference", "ci_low", "ci_high", "incumbent_mean", "candidate_mean", "a_only", "b_only")
    assert all(getattr(kept.comparison, one) == getattr(shared.comparison, one) for one in numbers)
    assert [part.difference for part in kept.comparison.slices] == [
        part.difference for part in shared.comparison.slices
    ]
    assert shared.regressions.by_cause == kept.regressions.by_cause
    assert list(shared.regressions.by_field.values()) == list(kept.regressions.by_field.values())
    assert shared.comparison.unscored == {"other reasons": 2}
    for record_id in re.findall(r"\b[0-9a-f]{32}\b", render(before)):
        assert record_id in render(after)


def test_the_page_says_that_it_was_made_to_be_shared_and_twice_is_once():
    assert "customers&#39; words are left out" in render(shareable(full())) or "words are left out" in render(
        shareable(full())
    )
    assert shareable(shareable(full())) == shareable(full())


def test_this_machine_is_not_told():
    text = msgspec.json.encode(shareable(full(endpoint_url="http://10.0.0.7:8080"))).decode()
    assert "10.0.0.7" not in text and "datasets/e" not in text and "adapters/x" not in text
