"""Labels of people, the labels that answers are held to, and notes to items."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.workflows.prove.held_out import make_dataset
from tests.workflows.prove.test_evaluate import sample
from tests.workflows.prove.test_results import evaluation

from freehold.errors import UsageError
from freehold.evals.pairwise import haste_note, read_labels, typical_seconds
from freehold.settings import load
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import ItemResult
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.project import Project
from freehold.workflows.prove.label import LabelSession, open_session
from freehold.workflows.prove.task import labels_held, task_labels


def item(i, *, candidate=None, incumbent=None):
    def result(model, text):
        return EvalResult(sample_id=f"s{i}", model=model, output=text, score=Score(value=1.0))

    return ItemResult(
        sample=Sample(id=f"s{i}", messages=(Message(role="user", content=f"q {i}"),)),
        reference=None,
        incumbent=result("i", incumbent if incumbent is not None else f"old {i}"),
        candidate=result("c", candidate if candidate is not None else f"new {i}"),
    )


@pytest.fixture
def session(tmp_path):
    at, step = datetime(2026, 1, 1, tzinfo=UTC), 5.0

    def clock():
        nonlocal at
        at += timedelta(seconds=step)
        return at

    def make(n=30, *, items=None, wanted=100, seed=0, seconds=5.0):
        nonlocal step
        step = seconds
        made = LabelSession(
            items or [item(i) for i in range(n)],
            tmp_path / "labels.jsonl",
            wanted=wanted,
            seed=seed,
            clock=clock,
        )
        return made, tmp_path / "labels.jsonl"

    return make


def prefer_new(pair):
    return "left" if pair.left.startswith("new") else "right"


def test_blind_labels_name_the_right_winner(session):
    made, path = session()
    sides = set()
    while (pair := made.next()) is not None:
        sides.add(pair.left.startswith("new"))
        made.record(prefer_new(pair))
    assert sides == {True, False}
    labels = read_labels(path)
    assert len(labels) == 30
    assert set(labels.values()) == {1.0}
    assert made.progress.seconds_each == 5.0


def test_a_stopped_session_goes_on(session):
    made, path = session()
    for _ in range(4):
        made.next()
        made.record("left")
    seen = set(read_labels(path))
    again, _ = session()
    assert again.progress.labelled == 4
    assert again.next().id not in seen


def test_undo_brings_the_pair_back(session):
    made, path = session()
    assert not made.undo()
    pair = made.next()
    made.record("left")
    made.next()
    assert made.undo()
    assert made.next().id == pair.id
    assert read_labels(path) == {}


def test_equal_answers_are_not_shown(session):
    items = [item(i, candidate="same", incumbent=" same") for i in range(3)] + [item(9)]
    made, path = session(items=items)
    assert made.next().id == "s9"
    assert sorted(read_labels(path).values()) == [0.0, 0.0, 0.0]


def test_a_session_opens_over_the_latest_evaluation_or_a_named_one(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path / "home")})
    project = Project(tmp_path, parse('[app]\nname = "t"\n'), settings, None)
    with pytest.raises(UsageError, match="no evaluation yet"):
        open_session(project)
    results = tmp_path / "results.jsonl"
    results.write_bytes(b"".join(msgspec.json.encode(item(i)) + b"\n" for i in range(4)))
    with open_store(project.store_url) as store:
        for id in ("aa" * 16, "bb" * 16):
            made = evaluation(id, "d")
            store.put(msgspec.structs.replace(made, results_file=str(results)))
    session, path = open_session(project, wanted=3)
    assert session.progress.wanted == 3 and path.name == f"labels-{'bb' * 6}.jsonl"
    assert open_session(project, evaluation_id="aa")[1].name == f"labels-{'aa' * 6}.jsonl"
    with pytest.raises(UsageError, match="no evaluations have an id that begins with cc"):
        open_session(project, evaluation_id="cc")


def take(made, count):
    for _ in range(count):
        made.next()
        made.record("left")


def test_labels_too_fast_to_have_read_anything_are_told(session):
    made, path = session(seconds=0.25)
    take(made, 24)
    assert made.state.hasty and made.state.median_seconds == 0.25
    assert typical_seconds(path) == 0.25 and "took 0.2 s each" in haste_note(path)


def test_what_a_terminal_and_a_page_label_at_once_is_all_kept(session):
    page, path = session()
    take(page, 3)
    terminal, _ = session()
    take(terminal, 4)
    assert page.undo() and len(read_labels(path)) == 6, "its own last one, and none of the other's"
    take(page, 1)
    assert terminal.undo() and len(read_labels(path)) == 6
    terminal.next()
    take(page, 2)
    pairs = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert len(pairs) == len(set(pairs)) == 8, "no pair is shown to the second that the first has labelled"
    path.unlink()
    assert not page.undo() and terminal.next() is not None


def test_pairs_whose_answers_have_changed_come_again(session):
    """The labels of the first candidate's answers were taken for those of the next one's."""
    made, path = session(4)
    while made.next() is not None:
        made.record("left")
    changed, _ = session(items=[item(0, candidate="newer"), *(item(i) for i in range(1, 4))])
    assert (changed.progress.labelled, changed.state.labelled) == (3, 3)
    pair = changed.next()
    assert pair.id == "s0" and "newer" in (pair.left, pair.right)
    changed.record("equal")
    assert changed.next() is None and len(path.read_text().splitlines()) == 5
    assert read_labels(path)["s0"] == 0.0


TASK = Task(name="t", scorer="label", options={"labels": ["yes", "no way"]})


def test_answers_are_held_to_the_labels_as_they_were_taught(tmp_path):
    dataset = make_dataset(tmp_path, [sample(n, gold="No_Way") for n in range(3)])
    assert task_labels(TASK) == ("yes", "no way")
    assert labels_held(TASK, dataset) == ("yes", "No_Way")


@pytest.mark.parametrize(
    "options",
    [{}, {"labels": ["yes", "no"], "anywhere": True}, {"labels": ["x" * 500, "no"]}],
)
def test_what_is_no_closed_set_is_not_held(tmp_path, options):
    dataset = make_dataset(tmp_path, [sample(1)])
    assert labels_held(Task(name="t", scorer="label", options=options), dataset) == ()
    assert labels_held(Task(name="t", scorer="exact"), dataset) == ()


@pytest.mark.parametrize(
    "own", [{"tools": [{"type": "function"}]}, {"response_format": {"type": "json_object"}}]
)
def test_requests_with_a_form_of_their_own_are_not_held(tmp_path, own):
    assert labels_held(TASK, make_dataset(tmp_path, [sample(1), sample(2, **own)])) == ()
