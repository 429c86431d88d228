"""The items of an evaluation a page at a time: order, filters, causes, and a file that changes."""

import os

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.errors import InputError
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import ItemResult
from freehold.types.evaluation import EvalResult, Score
from freehold.workflows.prove.results import write_results
from freehold.workflows.tell.views.proof.items import PAGE_ITEMS, causes_of, item_index


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


def test_a_file_that_is_written_again_is_indexed_again(file):
    assert len(item_index(file, ())) == 300
    write_results(file, evidence.results(20))
    os.utime(file, ns=(1, 1))
    assert len(item_index(file, ())) == 20


def test_a_slice_the_items_do_not_have_is_left_out(file):
    index = item_index(file, ("language", "no_such_field", "length"))
    assert set(index.counts().worse_by_slice) >= {"language=de"}


def test_what_is_no_results_file_is_told(tmp_path):
    with pytest.raises(InputError):
        item_index(tmp_path / "gone.jsonl", ())
    (tmp_path / "bad.jsonl").write_text('{"sample": 3}\n')
    with pytest.raises(InputError, match="not a result") as error:
        item_index(tmp_path / "bad.jsonl", ())
    assert error.value.line == 1


def test_a_file_that_is_cut_under_the_index_is_told(file):
    index = item_index(file, ())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a result any more"):
        index.page(show="all", after=200)


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
