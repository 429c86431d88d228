import asyncio

import pytest
from tests.evals.trajectories.conftest import as_recorded, played

from freehold.bounded.sandbox import sandbox_state
from freehold.errors import ConfigError
from freehold.evals.trajectories.sessions import RecordedSession
from freehold.evals.trajectories.success import success_of

GRADER = """
def grade(answer, reference, sample):
    called = [c["function"]["name"] for m in sample["messages"] for c in m.get("tool_calls") or []]
    return {"value": "refund" in called, "reason": ",".join(called) or "none"}
"""


def check(name, session: RecordedSession, messages):
    async def go():
        success = success_of(name)
        try:
            return await success.check(session, messages)
        finally:
            await success.close()

    return asyncio.run(go())


def refunded(sessions):
    return next(one for one in sessions if any("refund" in each.answer for each in one.decisions))


@pytest.mark.parametrize("name", ["final_calls", "state:refund,escalate", "state:find_order,track,refund"])
def test_the_recording_succeeds_by_its_own_measure(sessions, name):
    for session in sessions:
        assert check(name, session, session.transcript).value == 1.0
        assert check(name, session, played(session, as_recorded(session)).messages).value == 1.0


def test_what_was_not_changed_and_what_was_changed_too_often_is_no_success(sessions):
    session = refunded(sessions)
    silent = played(session, lambda sample, number: "words")
    assert check("state:refund", session, silent.messages).reason.startswith("wrong_count")
    assert check("final_calls", session, silent.messages).reason.startswith("wrong_count")
    once = played(session, as_recorded(session)).messages
    assert check("state:refund", session, (*once, *once[len(session.opening) :])).value == 0.0


@pytest.mark.process
def test_a_function_of_ones_own_sees_the_whole_session(sessions, tmp_path):
    (tmp_path / "grade.py").write_text(GRADER)
    session = refunded(sessions)
    name = f"{tmp_path}/grade.py:grade"
    assert not success_of(name).by_recording
    assert success_of(name).sandbox == sandbox_state().name
    assert success_of("final_calls").sandbox is None
    assert check(name, session, session.transcript).value == 1.0
    silent = played(session, lambda sample, number: "words")
    assert (check(name, session, silent.messages).value, check(name, session, silent.messages).reason) == (
        0.0,
        "none",
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("state:", "needs the tools"),
        ("state", "needs the tools"),
        ("won", "unknown success won"),
        ("a.py:f", "no such file"),
    ],
)
def test_a_success_that_cannot_be_is_said_at_once(name, says):
    with pytest.raises(ConfigError, match=says):
        success_of(name)
