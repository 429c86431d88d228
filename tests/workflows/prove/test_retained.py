"""What was kept of other skills: a trained model next to its base, on a real endpoint that is scripted."""

from pathlib import Path

import anyio
import msgspec
import pytest
from tests.report import sample_report as sample

from freehold.engines import start
from freehold.errors import UsageError
from freehold.evals.retained import probes
from freehold.types.config import FinetuneConfig
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Silent
from freehold.types.training import WholeModel
from freehold.workflows.prove.retained import ask_retained, compared, probe_adapter


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


def test_what_is_as_good_as_before_is_not_lost():
    found = compared(probes(80), rights(80), rights(80), base="b", trained_id="t")
    assert not any(one.lost for one in found.skills)


def test_answers_that_did_not_come_are_no_pairs():
    columns = rights(8)
    found = compared(probes(8), [None, *columns[1:]], columns, base="b", trained_id="t")
    assert {one.skill: one.n for one in found.skills} == {"no_tool": 1, "refusal": 2, "format": 2, "chat": 2}
    assert found.result.n == 7


def test_both_are_asked_and_the_base_only_once(tmp_path):
    """The shipped fake repeats the question: it never calls, never refuses, and is the same under both names."""
    plan = ServePlan(engine="echo", model="echo")

    async def ask(trained_id):
        told = []

        class Progress(Silent):
            def update(self, done, total, **_):
                told.append((done, total))

        async with start(plan, log_dir=tmp_path / "log", name="echo") as endpoint:
            found = await ask_retained(
                endpoint, plan, trained="echo", base="echo", trained_id=trained_id, count=12,
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


def test_a_model_of_its_own_has_no_base_next_to_it():
    trained = sample.candidate().trained
    config = FinetuneConfig(method="full")
    whole = WholeModel(**{**msgspec.structs.asdict(trained), "name": "shop", "config": config})
    with pytest.raises(UsageError, match="shop is a model of its own"):
        probe_adapter(None, whole, count=4, progress=Silent())
