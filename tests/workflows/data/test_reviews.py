"""A label that a person corrects is in the next dataset, and the one that stands is left as it is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.workflows.data.building import TOML, fill, project_of, question, trace

from freehold import training
from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.types.dataset import Message, Sample
from freehold.workflows.data import dataset as datasets
from freehold.workflows.data.reviews import review_label, reviews

AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def made(tmp_path):
    project = project_of(tmp_path, TOML + '[capture]\nmode = "patterns"\n')
    fill(project, [trace(n, question(n), gold="yes" if n % 2 else "no", incumbent="no") for n in range(60)])
    return project, datasets.build(project)


def samples(dataset):
    return list(training.read_samples(dataset, "train"))


def test_a_correction_is_in_the_next_dataset(made):
    project, dataset = made
    before = Path(dataset.path, "train.jsonl").read_bytes()
    wrong, right = samples(dataset)[:2]
    with open_store(project.store_url) as store:
        corrected = review_label(project, store, dataset, wrong.id, "maybe", who="ada", at=AT)
        confirmed = review_label(project, store, dataset, right.id, None, who="ada", at=AT)
        assert (corrected.decision, corrected.before, corrected.answer) == (
            "corrected",
            wrong.target,
            "maybe",
        )
        assert (confirmed.decision, confirmed.answer) == ("confirmed", right.target)
        assert reviews(store) == {wrong.id: corrected, right.id: confirmed}
        told = [one for one in audit.entries(store.database) if one.action.startswith("label.")]
        assert [one.action for one in told] == ["label.corrected", "label.confirmed"]
        assert "maybe" not in str(told) and {one.who for one in told} == {"ada"}
    built = datasets.build(project)
    assert built.id != dataset.id
    now = {sample.id: sample for sample in samples(built)}
    assert now[wrong.id].gold == "maybe" and now[right.id].gold == right.target
    assert Path(dataset.path, "train.jsonl").read_bytes() == before


def test_peoples_data_in_an_answer_are_replaced_as_capture_does(made):
    project, dataset = made
    with open_store(project.store_url) as store:
        review = review_label(
            project, store, dataset, samples(dataset)[0].id, "write to jo@example.com", who="ada", at=AT
        )
        assert "jo@example.com" not in review.answer
        assert store.get_trace(review.trace_id).gold == review.answer


@pytest.mark.parametrize(
    ("sample_id", "answer", "message"),
    [("nix", "yes", "no training sample"), (None, " ", "empty"), (None, "x" * 100_001, "characters")],
)
def test_what_is_refused(made, sample_id, answer, message):
    project, dataset = made
    with open_store(project.store_url) as store:
        with pytest.raises(UsageError, match=message):
            review_label(
                project, store, dataset, sample_id or samples(dataset)[0].id, answer, who="ada", at=AT
            )
        assert reviews(store) == {}


def test_a_sample_whose_request_is_gone_says_what_to_do(made, monkeypatch):
    project, dataset = made
    lonely = Sample(id="s", messages=(Message(role="user", content="q"),), gold="yes", trace_id="gone")
    monkeypatch.setattr("freehold.datasets.building.samples", lambda dataset, split: iter([lonely]))
    with open_store(project.store_url) as store, pytest.raises(UsageError, match="no request") as error:
        review_label(project, store, dataset, "s", "no", who="ada", at=AT)
    assert "freehold import" in error.value.hint


def test_a_request_that_is_forgotten_meanwhile_leaves_no_review_behind(made, monkeypatch):
    project, dataset = made
    with open_store(project.store_url) as store:
        monkeypatch.setattr(store, "replace_trace", lambda trace: False)
        with pytest.raises(UsageError, match="no request"):
            review_label(project, store, dataset, samples(dataset)[0].id, "no", who="ada", at=AT)
        assert reviews(store) == {}
