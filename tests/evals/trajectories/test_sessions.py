from tests.evals import agent_log

from freehold.evals.trajectories.sessions import answer_text, sessions_of
from freehold.types.dataset import Message, Sample


def test_a_log_of_an_agent_is_put_together_again():
    samples = [one for one in agent_log.samples(40) if one.answer]
    found = sessions_of(samples)
    assert found.off_the_way == 0
    by_group = {}
    for one in samples:
        by_group.setdefault(one.group, []).append(one)
    assert [one.id for one in found.sessions] == list(by_group)
    for session in found.sessions:
        members = by_group[session.id]
        assert session.decisions[-1].answer == session.final_answer == members[-1].target
        assert session.opening == members[0].messages
        assert session.transcript == (*members[-1].messages, *members[-1].answer)
        if len(session.decisions) == len(members):  # else a refusal in the API's own field stands between
            assert [one.asking for one in members] == list(session.asking)


def test_what_lies_off_the_longest_way_is_counted():
    def sample(id, *texts, answer="a"):
        messages = tuple(
            Message(role="assistant" if place % 2 else "user", content=text)
            for place, text in enumerate(texts)
        )
        return Sample(id=id, messages=messages, gold=answer, group="g")

    found = sessions_of([sample("1", "q"), sample("2", "q", "a", "more"), sample("3", "q", "b")])
    (session,) = found.sessions
    assert found.off_the_way == 1
    assert [one.answer for one in session.decisions] == ["a", "a"]
    assert session.users == ((Message(role="user", content="more"),),)


def test_examples_in_a_prompt_are_given_and_not_played():
    few_shot = Sample(
        id="s",
        messages=(
            Message(role="user", content="x"),
            Message(role="assistant", content="X"),
            Message(role="user", content="y"),
        ),
        gold="Y",
    )
    (session,) = sessions_of([few_shot]).sessions
    assert (len(session.opening), [one.answer for one in session.decisions]) == (3, ["Y"])


def test_a_message_as_text():
    assert answer_text(Message(role="assistant", content=[{"type": "text", "text": "a"}])) == "a"
    assert answer_text(Message(role="assistant", content=None)) == ""
    assert sessions_of([Sample(id="s", messages=(Message(role="user", content="?"),))]).sessions == ()
