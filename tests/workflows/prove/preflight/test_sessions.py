"""What is looked at before sessions are played."""

import anyio
import pytest
from tests.evals import agent_log
from tests.workflows.prove.test_evaluate import make_dataset

from freehold.datasets import building
from freehold.evals.trajectories.sessions import sessions_of
from freehold.store import open_store
from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight.sessions import (
    SessionsRequest,
    sessions_preflight,
    success_findings,
)


def look(tmp_path, *, sessions=40, margin=0.1, success="final_calls", addresses=()):
    held_out = [one for one in agent_log.samples(sessions) if one.target is not None]
    dataset = make_dataset(tmp_path, held_out)
    found = sessions_of(building.samples(dataset, "held_out")).sessions
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        request = SessionsRequest(
            dataset=dataset,
            task=Task(name="t", scorer="turn", margin=margin),
            success=success,
            sessions=found,
            decisions=held_out,
            addresses=addresses,
            store=store,
        )
        return anyio.run(sessions_preflight, request)


def outcomes(found):
    return {one.check: one.outcome for one in found.findings}


def test_enough_sessions_and_a_check_by_the_recording(tmp_path):
    found = look(tmp_path, sessions=60)
    assert outcomes(found) == {"success": "ok", "margin": "ok", "looks": "ok"}
    assert found.items == 60


def test_sessions_are_the_items_and_not_their_decisions(tmp_path):
    found = look(tmp_path, sessions=20)
    (margin,) = [one for one in found.failed if one.check == "margin"]
    assert "with n = 20" in margin.text


def own(tmp_path, body):
    (tmp_path / "mine.py").write_text(f"def check(answer, reference, sample):\n{body}\n")
    return f"{tmp_path / 'mine.py'}:check"


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "outcome", "said"),
    [
        ("    return 1.0", "ok", "finds 3 recorded sessions successful"),
        ("    return 0.0", "warn", "3 of 3 sessions fail as they were recorded"),
        ("    import time; time.sleep(60)", "warn", "loads slowly, or hangs"),
        ("    raise ValueError(answer)", "fail", "judges none of 3 sessions as they were recorded"),
    ],
)
def test_a_function_of_your_own_is_tried_on_recorded_sessions(tmp_path, body, outcome, said):
    named = own(tmp_path, body)
    held_out = [one for one in agent_log.samples(5) if one.target is not None]

    async def find():
        return await success_findings(named, sessions_of(held_out).sessions, seconds=4)

    (found,) = anyio.run(find)
    assert found.outcome == outcome
    assert said in found.text
