"""The screen Data: pages of samples, what is learned, states of a project."""

from pathlib import Path

import pytest
from tests.workflows.tell.views import evidence

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.workflows.data.dataset import PAGE_SAMPLES
from freehold.workflows.tell.views.data import DataQuery, data, shown_sample

look = evidence.looking(data, DataQuery)


def test_a_fresh_project_imports_first_then_builds(project):
    assert look(project).first_command == "freehold import traffic.jsonl"
    with open_store(project.store_url) as store:
        store.add_traces([evidence.trace(1, "hello")])
    found = look(project)
    assert (found.detail, found.traces, found.first_command) == (None, 1, "freehold dataset build")


def test_every_sample_comes_once_over_the_pages(project):
    dataset, _, samples = evidence.with_data(project)
    found, after = [], 0
    while after is not None:
        page = look(project, after=after).detail.samples
        assert len(page.samples) <= PAGE_SAMPLES
        found += [one.id for one in page.samples]
        after = page.next_after
    assert found == [sample.id for sample in samples]
    held_out = look(project, split="held_out").detail.samples
    assert held_out.total == dataset.split("held_out").samples > 0


def test_a_place_where_no_sample_begins_is_told(project):
    evidence.with_data(project)
    detail = look(project, after=3).detail
    assert detail.samples is None and "no sample begins at 3" in detail.samples_missing
    detail = look(project, after=10**9).detail
    assert detail.samples is None


def test_a_dataset_whose_files_are_gone_still_shows_its_card(project):
    dataset, _, _ = evidence.with_data(project)
    Path(dataset.path, "train.jsonl").unlink()
    detail = look(project).detail
    assert detail.samples is None and "freehold dataset build" in detail.samples_missing
    assert detail.card.splits["train"].labels


def test_only_known_datasets_are_read(project, tmp_path):
    """An address names a dataset by its id; a folder of that name is never opened."""
    dataset, _, _ = evidence.with_data(project)
    assert look(project, dataset=dataset.id[:8]).detail.dataset.id == dataset.id
    for wanted in ("nix", dataset.path[:64], "../.."):
        with pytest.raises(UsageError, match="no datasets"):
            look(project, dataset=wanted)


def said(**fields):
    return Message(role="assistant", content="a", **fields)


@pytest.mark.parametrize(
    ("messages", "learned"),
    [
        ((Message(role="user", content="q"), said()), [False, False, True]),
        ((Message(role="user", content="q"), said(weight=1)), [False, True, True]),
    ],
)
def test_what_is_learned_is_marked(messages, learned):
    shown = shown_sample(Sample(id="s", messages=messages, gold="yes", incumbent="no"))
    assert [one.learned for one in shown.messages] == learned
    assert shown.incumbent.text == "no" and shown.gold
