"""What was kept of other skills: a trained model next to its base, on a real endpoint that is scripted."""

import functools
from pathlib import Path

import anyio
import msgspec
import pytest

from freehold.engines import start
from freehold.evals.retained import AnsweredTask, OtherTask, probes
from freehold.progress import Silent
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.prove.retained import Probing, ask_retained, compared, with_tasks


def rights(count, lost=()):
    return [0.0 if one.skill in lost else 1.0 for one in probes(count)]


def test_a_lost_skill_is_a_slice_and_holds_only_where_it_must_be_kept():
    found = compared(probes(80), rights(80), rights(80, lost=("refusal",)), base="b", trained_id="t")
    assert {one.skill: one.lost for one in found.skills} == {
        "no_tool": False,
        "refusal": True,
        "format": False,
        "chat": False,
    }
    assert "refusal 20 → 0 of 20 (lost)" in found.text
    assert found.result.difference == pytest.approx(-0.25)
    assert found.check_result(()).ok is None and found.check_result(("chat",)).ok is None
    held = found.check_result(("refusal", "chat"))
    assert held.ok is False and held.text.endswith("Must be kept: refusal.") and held.record_id == found.id


@pytest.mark.process
def test_both_are_asked_and_the_base_only_once(tmp_path):
    """The shipped fake repeats the question: it never calls, never refuses, and is the same under both names."""
    plan = ServePlan(engine="echo", model="echo")
    probing = Probing(12)

    async def ask(trained_id):
        told = []

        class Progress(Silent):
            def update(self, done, total, **_):
                told.append((done, total))

        async with start(plan, log_dir=tmp_path / "log", name="echo") as endpoint:
            found = await ask_retained(
                endpoint, plan, probing, trained="echo", base="echo", trained_id=trained_id,
                folder=tmp_path / "retained", progress=Progress(),
            )  # fmt: skip
        return found, told

    first, told = anyio.run(ask, "a1")
    assert told[-1] == (24, 24)
    skills = {one.skill: (one.base_right, one.trained_right, one.n) for one in first.skills}
    assert skills["no_tool"] == (3, 3, 3) and first.left_out == ()
    (kept,) = (tmp_path / "retained").iterdir()
    lines = kept.read_bytes().count(b"\n")
    again, _ = anyio.run(ask, "a1")
    assert again.id == first.id
    assert Path(kept).read_bytes().count(b"\n") == lines, "nothing is asked twice"
    assert msgspec.json.decode(msgspec.json.encode(first), type=type(first)) == first


def other(name, *, right, count=20, **fields):
    """A task whose recorded answers are what the shipped fake says to `right` of its requests."""
    samples = tuple(
        Sample(
            id=f"{name}{n}",
            messages=(Message(role="user", content=f"{name} {n}"),),
            incumbent=f"{name} {n}" if n < right else "something else",
            **fields,
        )
        for n in range(count)
    )
    return OtherTask(task=Task(name=name, scorer="exact"), samples=samples)


@pytest.mark.process
def test_other_tasks_are_asked_with_their_recorded_answers(tmp_path):
    """The shipped fake repeats the question, as model and as base: nothing is lost, and the scores are known."""
    plan = ServePlan(engine="echo", model="echo")

    async def ask(probing, **capabilities):
        async with start(plan, log_dir=tmp_path / "log", name="echo") as endpoint:
            able = msgspec.structs.replace(endpoint.capabilities, **capabilities)
            return await ask_retained(
                msgspec.structs.replace(endpoint, capabilities=able), plan, probing, trained="echo", base="echo",
                trained_id="a1", folder=tmp_path / "retained", progress=Silent(),
            )  # fmt: skip

    calling = other(
        "agent", right=0, tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}]
    )
    probing = Probing(8, (other("mail", right=15), other("sums", right=0), calling), ("rare: not asked",))
    found = anyio.run(ask, probing)
    assert [(one.name, one.n, one.base_score, one.trained_score, one.lost) for one in found.tasks] == [
        ("mail", 20, 0.75, 0.75, False),
        ("sums", 20, 0.0, 0.0, False),
        ("agent", 20, 0.0, 0.0, False),
    ]
    assert found.tasks_result.n == 60 and found.notes == ("rare: not asked",)
    assert (
        "On other tasks of the log, scored against the recorded answers: mail 75% → 75% of 20;" in found.text
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
    alone = anyio.run(ask, Probing(8))
    assert alone.skills == found.skills and alone.id != found.id and alone.tasks_result is None
    toolless = anyio.run(functools.partial(ask, probing, tools=False))
    assert [one.name for one in toolless.tasks] == ["mail", "sums"]
    assert toolless.notes[-1] == "agent: not asked, the endpoint takes no tools"
    only = anyio.run(ask, Probing(0, (other("mail", right=15),)))
    assert only.skills == () and only.text.startswith("On other tasks of the log") and only.tasks[0].n == 20


def test_another_task_that_is_lost_holds_where_it_must_be_kept():
    def answers(value):
        return [EvalResult(sample_id="s", model="m", output="x", score=Score(value=value))] * 20

    lost = AnsweredTask(other("mail", right=20), answers(1.0), answers(0.0))
    kept = AnsweredTask(other("sums", right=20), answers(1.0), answers(1.0))
    bare = compared(probes(80), rights(80), rights(80), base="b", trained_id="t")
    found = with_tasks(bare, [lost, kept])
    assert [(one.name, one.lost) for one in found.tasks] == [("mail", True), ("sums", False)]
    assert (
        found.check_result(("chat",)).ok is None
        and "mail 100% → 0% of 20 (lost)" in found.check_result(()).text
    )
    held = found.check_result(("other_tasks",))
    assert held.ok is False and held.text.endswith("Must be kept: mail.")
    assert with_tasks(bare, []) == bare
