"""The screen Proof from real states of a project."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.report import sample_report
from tests.workflows.data.building import project_of
from tests.workflows.prove.test_results import evaluation
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import ItemResult
from freehold.types.evaluation import EvalResult, Score
from freehold.types.verdict import Reason, Verdict
from freehold.workflows.prove.label import open_session
from freehold.workflows.prove.results import write_results
from freehold.workflows.tell.views.labelling import LabellingQuery, desk_of, labelling
from freehold.workflows.tell.views.proof import ProofQuery, clone_range, proof, ways_out
from freehold.workflows.tell.views.proof_items import (
    COMPARED_FIELDS,
    PAGE_ITEMS,
    SHOWN_CHARACTERS,
    causes_of,
    difference,
    item_index,
)

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def look(project, **query):
    with open_store(project.store_url) as store:
        return proof(project, store, ProofQuery(**query), at=NOW)


def test_the_worst_items_come_first_with_what_differs(project):
    made = evidence.with_proof(project)
    found = look(project)
    detail = found.detail
    assert detail.evaluation_id == made.id and detail.comparison.id == made.comparison.id
    assert detail.verdict.id == "8" * 32 and detail.clone.self_noise == 0.04
    assert detail.reasons[0] == "the candidate is shown to be worse by more than the margin"
    assert {row.kind for row in found.intervals} == {"proof", "selection"}
    assert found.mixtures[0].mixture.id == "m" * 32
    items = detail.items
    assert len(items.items) == 10 and items.matching == items.changes["worse"]
    for one in items.items:
        assert one.candidate.score == 0 and one.incumbent.score == 1 and one.causes
        assert {piece.side for piece in one.difference.pieces} == {"incumbent", "candidate"}
    # The next page goes on, and an item's slice and cause lead to others like it.
    after = look(project, after=items.next_after).detail.items
    assert after.items[0].rank == items.items[-1].rank + 1
    german = look(project, slice="language=de").detail.items
    assert german.matching == items.worse_by_slice["language=de"]
    cause = items.causes[0]
    assert look(project, cause=cause[0]).detail.items.matching == cause[1]


def test_hostile_words_stay_words_in_the_record(project):
    evidence.with_proof(project, hostile=True)
    first = look(project, cause="wrong form: no_label").detail.items.items[0]
    assert first.question.text == evidence.HOSTILE and first.candidate.output.text == evidence.HOSTILE
    assert msgspec.json.encode(first)


def test_answers_that_are_gone_are_told_and_the_rest_stands(project):
    made = evidence.with_proof(project)
    Path(made.results_file).unlink()
    detail = look(project).detail
    assert detail.items is None and "freehold evaluate" in detail.items_missing
    assert detail.comparison is not None


# Parts of the screen of proof: what differs, the items, the pictures, the ways out.


def sides(found):
    return [(piece.side, piece.text) for piece in found.pieces]


def test_words_that_changed_stand_alone():
    found = difference("refund the whole order now", "refund the broken lamp now")
    assert sides(found) == [
        ("both", "refund the"),
        ("incumbent", " whole order"),
        ("candidate", " broken lamp"),
        ("both", " now"),
    ]
    assert found.fields == ()


def test_json_answers_are_compared_by_field_and_held_to_the_reference():
    found = difference(
        '{"intent": "refund", "order": {"id": "7", "items": [1, 2]}}',
        '```json\n{"intent": "refund", "order": {"id": null, "items": [1, 3]}, "more": true}\n```',
        '{"intent": "refund", "order": {"id": "7", "items": [1, 2]}}',
    )
    changed = {one.path: (one.incumbent, one.candidate, one.right) for one in found.fields if one.changed}
    assert changed == {
        "order.id": ("7", "null", "7"),
        "order.items[1]": ("2", "3", "2"),
        "more": (None, "true", None),
    }
    assert [one.path for one in found.fields if not one.changed] == ["intent", "order.items[0]"]


def test_huge_answers_are_bounded():
    deep = "[" * 100_000
    wide = "{" + ",".join(f'"k{n}": {n}' for n in range(400)) + "}"
    assert len(difference(wide, wide).fields) == COMPARED_FIELDS
    for text in ('{"a": ' + deep, "word " * 2_000_000, "z\u0301" * 100_000):
        found = difference(text, text[:-1] + "!")
        assert sum(len(piece.text) for piece in found.pieces) <= 2 * SHOWN_CHARACTERS


@pytest.fixture
def file(tmp_path):
    project_of(tmp_path, evidence.TOML)
    return write_results(tmp_path / "e.jsonl", evidence.results(300))


def pages(index, **wanted):
    after, found = None, []
    while True:
        page = index.page(after=after, **wanted)
        found += zip(page.ranks, page.items, strict=True)
        if page.next_rank is None:
            return found, page.matching
        after = page.next_rank


def test_every_item_comes_once_the_largest_losses_first(file):
    index = item_index(file, ("language",))
    found, matching = pages(index, show="all")
    assert len(index) == len(found) == matching == 300
    assert [rank for rank, _ in found] == list(range(300))
    assert len({item.sample.id for _, item in found}) == 300
    gaps = [item.candidate.score.value - item.incumbent.score.value for _, item in found]
    assert gaps == sorted(gaps) and gaps[0] == -1 and gaps[-1] == 1
    assert len(index.page().items) == PAGE_ITEMS


def test_filters_leave_what_they_say(file):
    index = item_index(file, ("language",))
    worse, count = pages(index, show="worse")
    counts = index.counts()
    assert count == counts.changes["worse"] and all(item.candidate.score.value == 0 for _, item in worse)
    german, count = pages(index, show="worse", slice_name="language=de")
    assert count == counts.worse_by_slice["language=de"] > 0
    assert {item.sample.metadata["language"] for _, item in german} == {"de"}
    cause, many = counts.causes[0]
    assert pages(index, show="worse", cause=cause)[1] == many
    assert " → " in cause
    assert pages(index, show="different")[1] == counts.different
    assert pages(index, show="worse", slice_name="language=fr") == ([], 0)
    assert sum(counts.changes.values()) == 300


def item(candidate, *, reference="yes", incumbent_parts=None):
    sample = Sample(id="s", messages=(Message(role="user", content="q"),))
    one = EvalResult(
        sample_id="s", model="i", output="yes", score=Score(value=1.0, parts=incumbent_parts or {})
    )
    return ItemResult(sample=sample, reference=reference, incumbent=one, candidate=candidate)


@pytest.mark.parametrize(
    ("fields", "score", "reference", "expected"),
    [
        ({"output": None, "error": "timeout: 30 s"}, Score(value=0.0), "yes", ("failed: timeout",)),
        ({"output": "?"}, Score(value=0.0, format_ok=False, reason="no_label: none"), "yes", ("wrong form: no_label",)),
        ({"output": "{}"}, Score(value=0.5, parts={"a": 1.0, "b": 0.0}), "yes", ("field b",)),
        ({"output": "no"}, Score(value=0.0), "yes", ("yes → no",)),
        ({"output": "x" * 100}, Score(value=0.2, reason="judge: shorter"), "yes", ("judge",)),
        ({"output": "x" * 100}, Score(value=0.2), None, ("scored lower",)),
    ],
)  # fmt: skip
def test_causes(fields, score, reference, expected):
    result = EvalResult(sample_id="s", model="c", score=score, **fields)
    assert causes_of(item(result, reference=reference)) == expected


def test_a_copy_of_the_incumbent_lands_where_its_noise_says():
    """The range against a simulation: pairs that differ with probability psi, up as often as down."""
    comparison = sample_report.comparison(n=400, self_noise=0.05)
    found = clone_range(comparison)
    assert found.high == pytest.approx(1.959964 * math.sqrt(0.05 / 400), rel=1e-6) == -found.low
    draw = np.random.default_rng(0)
    means = draw.choice([-1, 0, 1], p=[0.025, 0.95, 0.025], size=(4000, 400)).mean(axis=1)
    inside = np.mean((means > found.low) & (means < found.high))
    assert inside == pytest.approx(found.level, abs=0.02)
    assert clone_range(sample_report.comparison(self_noise=None)) is None


def made(**changes):
    return msgspec.structs.replace(
        evaluation("e1", "d"), comparison=sample_report.comparison(**changes), candidate="org/some model"
    )


def commands(found):
    return [way.command for way in found]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"verdict": "promote", "reasons": ("noninferior",)}, "freehold rollout start"),
        ({"verdict": "hold", "reasons": ("interval_spans_margin",)}, "freehold import FILE --held-out"),
        ({"verdict": "hold", "reasons": ("repeated_look",)}, "freehold import FILE --held-out"),
        ({"verdict": "hold", "reasons": ("slice_harm",)}, "freehold import FILE"),
        ({"verdict": "reject", "reasons": ("worse_than_margin",)}, "freehold assess --write 3"),
    ],
)
def test_what_decides_comes_first_and_no_way_on_is_left_out(store, changes, first):
    found = commands(ways_out(store, made(**changes)))
    assert found[0] == first
    assert changes["verdict"] == "promote" or "freehold defer plan" in found


def test_what_blocks_besides_the_comparison_stands_above_it(store):
    blocked = Verdict(
        id="v", outcome="reject", candidate="org/some model", incumbent="i",
        reasons=(
            Reason(code="license_not_allowed", text="Not for this use.", record_id="r", effect="reject"),
            Reason(code="interval_spans_margin", text="by scores", record_id="c" * 32, effect="hold"),
            Reason(code="latency_noted", text="slow", effect=None),
        ),
    )  # fmt: skip
    found = ways_out(store, made(verdict="promote"), blocked)
    assert found[0].sentence == "Choose a model whose licence allows this use"
    assert "freehold license 'org/some model'" in commands(found)


# Pairs on a screen go through the sessions of `freehold label`.


@pytest.fixture
def made_of_labelling(project):
    return evidence.with_proof(project, hostile=False)


def look_of_labelling(project, **query):
    with open_store(project.store_url) as store:
        return labelling(project, store, LabellingQuery(**query), at=NOW)


def test_ten_pairs_are_labelled_as_the_command_labels_them(project, made_of_labelling):
    pair = look_of_labelling(project)
    assert pair.wanted == 100 and pair.pair_id
    names = {made_of_labelling.candidate, made_of_labelling.incumbent}
    begun = pair.labelled  # equal answers are labelled without being shown
    for _ in range(10):
        assert not names & set(msgspec_texts(pair))
        pair = desk_of(project).label(made_of_labelling.id, pair.pair_id, "left")
        if pair.pair_id is None:
            break
    assert pair.labelled > begun
    lines = [json.loads(line) for line in Path(pair.path).read_text().splitlines()]
    shown = [line for line in lines if line["shown"]]
    assert {line["winner"] for line in shown} <= {"candidate", "incumbent"}
    session, path = open_session(project, evaluation_id=made_of_labelling.id)
    assert str(path) == pair.path and session.progress.labelled == pair.labelled
    assert session.current_id == pair.pair_id


def msgspec_texts(pair):
    return [pair.question.text, pair.left.text, pair.right.text]
