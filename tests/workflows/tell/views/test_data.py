"""The screen Data: pages of samples, what is learned, doubts, states of a project."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.dataset import Doubt, Message, Sample
from freehold.types.planning.token_mask import MaskedSamples, TokenMasks
from freehold.workflows.data.reviews import review_label
from freehold.workflows.data.sample_page import PAGE_SAMPLES
from freehold.workflows.tell.views import data as views_data
from freehold.workflows.tell.views.data import DataQuery, data, shown_sample, suggestion

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def project(tmp_path):
    return project_of(tmp_path, evidence.TOML)


def look(project, **query):
    with open_store(project.store_url) as store:
        return data(project, store, DataQuery(**query), at=NOW)


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


def test_doubts_are_listed_with_what_was_said_of_them(project):
    dataset, adapter, samples = evidence.with_data(project)
    doubts = look(project).detail.doubts
    assert doubts.adapter_id == adapter.id and doubts.labels and doubts.found == 4
    assert [row.doubt.sample_id for row in doubts.rows] == [sample.id for sample in samples[:4]]
    with open_store(project.store_url) as store:
        review_label(project, store, dataset, samples[0].id, "other", who="ada", at=NOW)
    detail = look(project).detail
    assert detail.doubts.rows[0].review.answer == "other" and detail.reviewed == 1


@pytest.mark.parametrize(
    ("answer", "incumbent", "begins_with"),
    [
        ("yes", None, "yes"),
        ("yes", "no", "no"),
        ("first\nsecond", None, "first\nsecond"),
        ("x" * 300, None, None),
        ("yes", "x" * 300, None),
        ("yes", "\U0001f468\u200d\U0001f469", None),
        ("\u202eyes", None, None),
    ],
)
def test_a_correction_begins_with_a_whole_text_that_a_page_shows_as_it_is(answer, incumbent, begins_with):
    doubt = Doubt(sample_id="s", question="q", answer=answer, incumbent=incumbent, probability=0.1, looks=1)
    assert suggestion(doubt) == begins_with


def test_a_project_without_a_trained_model_says_what_gives_doubts(project):
    evidence.fill(project)
    doubts = look(project).detail.doubts
    assert doubts.rows == () and "no adapter" in doubts.why_none and "freehold train" in doubts.command


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
    ("messages", "train_on", "learned"),
    [
        ((Message(role="user", content="q"), said()), "last", [False, False, True]),
        ((Message(role="user", content="q"), said()), "all", [False, True, True]),
        ((Message(role="user", content="q"), said(weight=1)), "last", [False, True, True]),
        ((Message(role="user", content="q"), said(weight=0)), "all", [False, False, True]),
    ],
)
def test_what_is_learned_is_marked(messages, train_on, learned):
    shown = shown_sample(Sample(id="s", messages=messages, gold="yes", incumbent="no"), train_on=train_on)
    assert [one.learned for one in shown.messages] == learned
    assert shown.incumbent.text == "no" and shown.gold


def test_tokens_whose_model_is_not_here_leave_a_reason_and_the_command(project):
    evidence.with_data(project)
    page = look(project, shown="tokens").detail.samples
    assert page.masks is None and "tokenizer of test/tiny is not here" in page.no_masks
    assert page.masks_command == "freehold pull test/tiny"
    assert len(page.samples) == PAGE_SAMPLES, "the words are shown"


def test_where_no_candidate_writes_text_the_way_is_a_command_that_can_be_given(project, monkeypatch):
    from freehold.cli.data.dataset import show

    evidence.with_data(project)
    monkeypatch.setattr(views_data, "mask_base", lambda project, store: None)
    page = look(project, shown="tokens").detail.samples
    assert page.masks is None and "writes text" in page.no_masks
    program, group, command, *given = page.masks_command.split()
    assert (program, group, command) == ("freehold", "dataset", "show")
    assert show.make_context("show", given).params["token_samples"] == 3


def test_tokens_are_of_the_samples_of_the_page_in_its_split(project, monkeypatch):
    dataset, _, _ = evidence.with_data(project)
    asked = []

    def masks(project, base, of, samples):
        asked.append((base.model, of.id, [one.id for one in samples]))
        return TokenMasks(
            base_model=base.model,
            because=base.because,
            dataset_id=of.id,
            method="lora",
            masked=MaskedSamples(samples=(), left_out=(), call_format="template"),
        )

    monkeypatch.setattr(views_data, "masks_here", masks)
    page = look(project, shown="tokens", split="held_out").detail.samples
    assert asked == [("test/tiny", dataset.id, [one.id for one in page.samples])]
    assert page.masks.because == "trained" and page.no_masks is None
    assert look(project).detail.samples.masks is None and len(asked) == 1, "words ask for no tokens"
