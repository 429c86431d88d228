"""Looks are kept in the store before a result is shown, and counted whatever became of datasets in between."""

import random
from datetime import UTC, date, datetime

import msgspec
import pytest
from tests.store.examples import trace
from tests.workflows.prove.test_evaluate import run, sample

from freehold.evals.comparing import compare
from freehold.stats.looks import LookPlan
from freehold.store import open_store
from freehold.store.erase import erase_mentions, erase_traces
from freehold.types.dataset import Message
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import Task
from freehold.workflows.project import open_project
from freehold.workflows.prove.looks import Looks, look_at
from freehold.workflows.prove.results import keep


def asked(i, *, system="", space=" ", **fields):
    turns = [Message(role="system", content=system)] if system else []
    return (
        sample(i, **fields)
        if not turns
        else msgspec.structs.replace(
            sample(i, **fields),
            id=f"{system}{i}",
            messages=(*turns, Message(role="user", content=f"q{space}{i}")),
        )
    )


def look_of(made):
    look = made.comparison.look
    return look.number, look.shared, look.may_promote


def test_a_prompt_edited_between_evaluations_is_a_further_look(store, tmp_path):
    """The dataset is another one, the questions are the same: the second was counted as a first look."""
    first = run(tmp_path / "a", [asked(i) for i in range(200)], lambda i, model: "yes", looks=Looks(store))
    assert look_of(first) == (1, 0, True) and first.comparison.verdict == "promote"
    assert first.comparison.notes[-1].startswith("First evaluation of these 200 items")
    edited = [asked(i, system="Answer", space="\n  ") for i in range(150, 350)]
    second = run(tmp_path / "b", edited, lambda i, model: "yes", looks=Looks(store))
    assert second.dataset_id != first.dataset_id
    assert look_of(second) == (2, 50, False)
    assert (second.comparison.verdict, second.comparison.reasons) == ("hold", ("repeated_look",))
    note = second.comparison.notes[0]
    assert f"({first.id[:12]}); 50 of 200 items are shared" in note and "--planned-looks" in note
    assert not any("would settle it" in one for one in second.comparison.notes)


def test_a_promise_says_when_its_requests_were_asked(store, tmp_path):
    asked_at = [trace(i, at=datetime(2026, 11, 1 + i % 30, tzinfo=UTC)) for i in range(200)]
    store.add_traces(asked_at)
    items = [asked(i, trace_id=one.id) for i, one in enumerate(asked_at)]
    made = run(tmp_path, items, lambda i, model: "yes", looks=Looks(store)).comparison
    assert made.promise("X").startswith("On requests like these 200 (1–30 Nov 2026), X is at most")
    days = date(2025, 12, 30), date(2026, 1, 2)
    assert "(30 Dec 2025 – 2 Jan 2026)" in msgspec.structs.replace(made, period=days).promise("X")


def test_the_same_evaluation_again_is_the_same_look_at_the_share_it_had(store, tmp_path):
    held_out = [asked(i) for i in range(200)]
    first = run(tmp_path, held_out, lambda i, model: "yes", looks=Looks(store, LookPlan(4)))
    assert first.comparison.alpha == 0.025 / 4
    again = run(tmp_path, held_out, lambda i, model: "yes", looks=Looks(store, LookPlan(1)))
    assert again.id == first.id and look_of(again) == (1, 0, True)
    assert again.comparison.alpha == 0.025 / 4, "a plan made after the result gives no more"
    assert len(store.records(ItemLook)) == 1


def test_planned_looks_share_alpha(store, tmp_path):
    for number, name in enumerate("abc", 1):
        held_out = [asked(i, system=name) for i in range(200)]
        made = run(tmp_path / name, held_out, lambda i, model: "yes", looks=Looks(store, LookPlan(2)))
        assert look_of(made)[0] == number and look_of(made)[2] == (number <= 2)
        assert made.comparison.level == pytest.approx(1 - 2 * 0.0125)
        assert (made.comparison.verdict == "promote") == (number <= 2)


def test_items_taken_out_of_the_log_after_a_look_count_as_lost(store, tmp_path):
    """300 items, 14 lost; without the 14 the second planned look would promote."""
    lost = set(range(0, 280, 20))
    everyone = [asked(i) for i in range(300)]
    first = run(
        tmp_path / "a",
        everyone,
        lambda i, model: "no" if i in lost else "yes",
        looks=Looks(store, LookPlan(2)),
    )
    assert first.comparison.verdict == "hold"
    rest = [asked(i) for i in range(300) if i not in lost]
    second = run(tmp_path / "b", rest, lambda i, model: "yes", looks=Looks(store, LookPlan(2)))
    assert (second.comparison.look.gone, look_of(second)) == (14, (2, 286, True))
    assert second.comparison.reasons == ("gone_items_could_hide_harm",)
    assert "14 items of those are missing here, and count as lost." in second.comparison.notes[0]


@pytest.mark.parametrize(("lost", "verdict"), [(14, "hold"), (1, "promote")])
def test_items_forgotten_since_are_told_apart_and_hold_what_they_could_change(store, tmp_path, lost, verdict):
    """A person asks to be forgotten, no owner takes out what was lost; but where that could be, nothing is promoted."""

    def asking(i):
        return msgspec.structs.replace(asked(i), trace_id=f"t{i}")

    store.add_traces(trace(i, id=f"t{i}") for i in range(300))
    run(
        tmp_path / "a",
        [asking(i) for i in range(300)],
        lambda i, model: "yes",
        looks=Looks(store, LookPlan(2)),
    )
    erase_traces(store.database, [f"t{i}" for i in range(lost)])
    second = run(
        tmp_path / "b",
        [asking(i) for i in range(lost, 300)],
        lambda i, model: "yes",
        looks=Looks(store, LookPlan(2)),
    )
    look = second.comparison.look
    assert (look.gone, look.removed, second.comparison.verdict) == (0, lost, verdict)
    assert f"{lost} items of those were forgotten or too old to keep" in second.comparison.notes[0]
    if verdict == "hold":
        assert second.comparison.reasons == ("removed_items_could_hide_harm",)
        assert second.comparison.lower_worst is None


def test_one_word_changed_in_each_question_begins_no_new_look(store, tmp_path):
    draw = random.Random(0)
    texts = [[draw.choice("abcdefghij") * draw.randint(1, 9) for _ in range(6)] for _ in range(200)]

    def asking(changed, gold="yes"):
        said = [changed([*text]) for text in texts]
        return [
            msgspec.structs.replace(
                sample(i, gold=gold), messages=(Message(role="user", content=f"{' '.join(text)} {i}"),)
            )
            for i, text in enumerate(said)
        ]

    guises = {
        "as it was": lambda text: text,
        "garbled": lambda text: ["xqz", *text[1:]],
        "left out": lambda text: text[1:],
        "please": lambda text: ["please", *text],
    }
    found = [
        look_of(run(tmp_path / name, asking(changed), lambda i, model: "yes", looks=Looks(store)))
        for name, changed in guises.items()
    ]
    assert found == [(1, 0, True), (2, 200, False), (3, 200, False), (4, 200, False)]
    other = asking(lambda text: ["xqz", *text[1:]], gold="no")
    assert look_of(run(tmp_path / "o", other, lambda i, model: "no", looks=Looks(store)))[0] == 1


def test_alpha_and_plan_raised_after_a_look_let_no_further_one_promote(store, tmp_path):
    """Each look had its 0.025, and the second was promoted as one that was planned."""
    held_out = [asked(i, system="a") for i in range(200)]
    assert look_of(run(tmp_path / "a", held_out, lambda i, model: "yes", looks=Looks(store))) == (1, 0, True)
    raised = Task(name="t", scorer="label", margin=0.05, alpha=0.05)
    again = [asked(i, system="b") for i in range(200)]
    made = run(tmp_path / "b", again, lambda i, model: "yes", task=raised, looks=Looks(store, LookPlan(2)))
    assert look_of(made) == (2, 200, False) and made.comparison.alpha == 0.025 / 2
    assert (made.comparison.verdict, made.comparison.reasons) == ("hold", ("repeated_look",))


def test_scores_seen_without_the_incumbents_answers_are_looks_at_these_items(store, tmp_path):
    """They choose among candidates as a comparison does. The very same answers, compared once the incumbent's are
    frozen, are no further look: they were one, and could not be promoted by it."""

    def seen(folder, reply, **fields):
        samples = [asked(i, **fields) for i in range(200)]
        made = run(tmp_path / folder, samples, reply, looks=Looks(store), without_incumbent=True)
        keep(store, made)
        return made

    alone = seen("a", lambda i, model: "yes", incumbent=None)
    assert alone.comparison is None and alone.measured.mean == 1.0
    same = seen("b", lambda i, model: "yes")
    assert look_of(same) == (1, 0, True) and same.comparison.verdict == "promote"
    with open_store(f"sqlite:///{tmp_path}/other.sqlite3") as store:
        seen("c", lambda i, model: "yes" if i % 9 else "no", incumbent=None)
        other = seen("d", lambda i, model: "yes")
        assert look_of(other) == (2, 200, False) and other.comparison.reasons == ("repeated_look",)


def test_a_mixture_on_answers_that_were_scored_alone_first_is_no_further_look(store, tmp_path):
    """The evaluation that was planned for the mixture was the first look, and the mixture's own at it the second."""
    samples = [asked(i, incumbent=None) for i in range(200)]
    first = run(tmp_path / "a", samples, lambda i, model: "yes", looks=Looks(store), without_incumbent=True)
    keep(store, first)
    planned = Looks(store, path="r1")
    made = run(tmp_path / "b", [asked(i) for i in range(200)], lambda i, model: "yes", looks=planned)
    assert made.comparison.look.informs
    look = look_at(
        [asked(i) for i in range(200)],
        evaluation_id=made.id,
        dataset_id=made.dataset_id,
        names=("incumbent", "candidate"),
        alpha=0.025,
    )
    found = planned.take_mixture(look)
    assert (found.number, found.may_promote) == (1, True)
    other = Looks(store, path="r2").take_mixture(look)
    assert (other.number, other.may_promote) == (2, False)


def test_a_look_of_another_project_that_shares_the_store_counts(tmp_path, monkeypatch):
    """Two folders, one database: the second project's first evaluation of the same questions is a second look."""
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", f"sqlite:///{tmp_path}/shared.sqlite3")
    seen = []
    for name in ("shop", "bank"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "freehold.toml").write_text(f'[app]\nname = "{name}"\n')
        project = open_project(tmp_path / name / "freehold.toml")
        held_out = [asked(i, system=name) for i in range(200)]
        with open_store(project.store_url) as shared:
            made = run(tmp_path / name, held_out, lambda i, model: "yes", looks=Looks(shared))
        seen.append((look_of(made), made.comparison.verdict))
    assert seen == [((1, 0, True), "promote"), ((2, 200, False), "hold")]


def test_a_look_is_kept_before_its_result(store, tmp_path, monkeypatch):
    def cut_off(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("freehold.evals.task_comparison.compare", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [asked(i) for i in range(40)], lambda i, model: "yes", looks=Looks(store))
    monkeypatch.setattr("freehold.evals.task_comparison.compare", compare)
    made = run(
        tmp_path / "b", [asked(i, system="x") for i in range(40)], lambda i, model: "yes", looks=Looks(store)
    )
    assert look_of(made)[0] == 2


def test_a_look_outlives_what_is_forgotten_and_holds_no_word(store, tmp_path):
    made = run(tmp_path, [asked(i) for i in range(40)], lambda i, model: "yes", looks=Looks(store))
    keep(store, made)
    gone = erase_mentions(store.database, lambda content: True)
    assert gone["evaluation"] == 1 and "look" not in gone
    (kept,) = store.records(ItemLook)
    assert (len(kept.items), len(kept.golds)) == (320, 320) and b"q 1" not in msgspec.json.encode(kept)


def test_without_a_store_each_look_is_the_first(tmp_path):
    task = Task(name="t", scorer="label", margin=0.05)
    made = run(tmp_path, [asked(i) for i in range(60)], lambda i, model: "yes", task=task)
    assert look_of(made) == (1, 0, True)
