from tests.evals.trajectories.conftest import as_recorded, calls, played

from freehold.evals.answers import ChatAnswer
from freehold.evals.trajectories.recorded_tools import NO_RESULT


def with_calls(sessions):
    return next(one for one in sessions if one.decisions[0].message.tool_calls and len(one.decisions) > 3)


def test_a_model_that_decides_as_recorded_plays_the_recording(sessions):
    for session in sessions:
        found = played(session, as_recorded(session))
        assert found.ended == "finished"
        assert [one.role for one in found.messages] == [one.role for one in session.transcript]
        tools = [one.content for one in found.messages if one.role == "tool"]
        assert tools == [one.content for one in session.transcript if one.role == "tool"]
        assert found.parted_at is None
        assert all(one.as_recorded for one in found.turns)


def test_the_model_sees_its_own_words_and_the_recorded_user(sessions):
    session = next(one for one in sessions if one.users)
    found = played(session, lambda sample, number: f"words {number}")
    said = [one.content for one in found.messages[len(session.opening) :] if one.role == "assistant"]
    users = [one for one in found.messages[len(session.opening) :] if one.role == "user"]
    assert said == [f"words {n + 1}" for n in range(len(session.users) + 1)]
    assert users == [one for group in session.users for one in group]
    assert found.ended == "finished"


def test_after_the_first_other_decision_the_sessions_are_not_compared(sessions):
    session = with_calls(sessions)
    found = played(session, lambda sample, number: "words")
    assert (found.parted_at, found.turns[0].reason.partition(":")[0]) == (1, "no_call")
    assert [one.as_recorded for one in found.turns[1:]] == [None] * (len(found.turns) - 1)


def test_a_call_without_a_recorded_result_is_told_so_and_stated(sessions):
    session = with_calls(sessions)
    found = played(session, lambda sample, number: calls(("stock", {"sku": "x"})) if number == 1 else "words")
    assert found.turns[0].results == ("miss",)
    assert [one.content for one in found.messages if one.role == "tool"] == [NO_RESULT]


def test_a_model_that_never_ends_is_ended(sessions):
    session = with_calls(sessions)
    found = played(session, lambda sample, number: calls(("escalate", {"why": str(number)})))
    assert (found.ended, len(found.turns)) == ("turn_limit", 2 * len(session.decisions) + 2)


def test_faults_end_a_session_and_are_told_apart(sessions):
    session = with_calls(sessions)
    cut = played(session, lambda *_: ChatAnswer(output="x", fault="candidate", error="cut: at the limit"))
    assert (cut.ended, cut.parted_at, cut.error) == ("fault", 1, "cut: at the limit")
    lost = played(session, lambda *_: ChatAnswer(fault="infrastructure", error="http_500: no"))
    assert (lost.ended, lost.parted_at) == ("infrastructure", None)
    broken = played(session, lambda *_: calls(("stock", {})).replace('"{}"', '"{"'))
    assert (broken.ended, broken.parted_at) == ("broken_call", 1)


def test_each_decision_is_asked_for_as_it_was_recorded(sessions):
    session = with_calls(sessions)
    seen = []

    def reply(sample, number):
        seen.append(sample.asking)
        return session.decisions[number - 1].answer

    played(session, reply)
    assert tuple(seen) == session.asking


def test_nothing_is_changed_in_the_recording(sessions):
    session = with_calls(sessions)
    before = session.transcript
    played(session, as_recorded(session))
    assert session.transcript == before
