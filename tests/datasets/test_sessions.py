"""Sessions from histories: what links two requests, and that the order of a log says nothing."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.datasets.agent_log import REFUSAL, agent_log, to_trace

from freehold.datasets.building import SAME_QUESTION, Recipe, make_samples
from freehold.datasets.messages import chat_message, chat_messages, response_message
from freehold.datasets.sessions import SessionIndex, linked_samples, request_chain
from freehold.types.dataset import SPLITS
from freehold.types.identity import question_id

SYSTEM = "You are the agent of a shop."


class Request:
    """A request as (role, content) pairs and its answer; `minute` is when, `id` its conversation."""

    def __init__(self, said, answer, *, minute=0, id=None, system=SYSTEM):
        self.messages = [{"role": "system", "content": system}] if system else []
        self.messages += [
            one if isinstance(one, dict) else {"role": one[0], "content": one[1]} for one in said
        ]
        self.answer = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
        self.minute, self.id = minute, id

    @property
    def chain(self):
        return request_chain(chat_messages(self.messages), chat_message(self.answer))


def talk(*said, **how):
    """A request in which user and assistant take turns, the last being the answer."""
    roles = ["user", "assistant"] * len(said)
    return Request(list(zip(roles, said[:-1], strict=False)), said[-1], **how)


def groups(*requests, names=None):
    """Each session as a sorted tuple of the requests' places (or `names`)."""
    index = SessionIndex()
    for place, request in enumerate(requests):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=request.minute)
        key = str(request.chain.asked)
        index.add(request.chain, id=request.id, key=key, at=at, tie=str(names[place] if names else place))
    leaders = index.links().leader.tolist()
    found = {}
    for place, (leader, request) in enumerate(zip(leaders, requests, strict=True)):
        leading = request if leader < 0 else requests[leader]
        # Alone is a group of its own, unless it has an id.
        key = leading.id or (leader if leader >= 0 else f"alone {place}")
        found.setdefault(key, []).append(names[place] if names else place)
    return sorted(tuple(sorted(one)) for one in found.values())


def test_requests_that_were_not_recorded_are_bridged():
    assert groups(talk("a", "b"), talk("a", "b", "c", "d", "e", "f", "g", "h")) == [(0, 1)]


def test_the_same_opening_alone_links_nobody():
    first = [talk("hi", "hello", minute=0), talk("hi", "hello", "my lamp", "sorry", minute=1)]
    other = [talk("hi", "hello", minute=60), talk("hi", "hello", "my tent", "sorry", minute=61)]
    assert groups(*first, *other) == [(0, 1), (2, 3)]
    assert groups(talk("hi", "hello"), talk("hi", "good day", "my lamp", "sorry")) == [(0,), (1,)]


def test_beyond_the_opening_an_edited_answer_still_links():
    early, late = talk("a", "b", "c", "d"), talk("a", "b", "c", "d, shortened", "e", "f")
    assert groups(talk("a", "b"), early, late) == [(0, 1, 2)]
    assert groups(early, late) == [(0, 1)]


def test_examples_of_a_prompt_are_no_conversation():
    shots = ("good", "positive", "bad", "negative")
    requests = [talk(*shots, f"text {n}", "positive") for n in range(9)]
    assert groups(*requests) == [(n,) for n in range(9)]
    asked = [talk(*shots, "text 1", "positive"), talk(*shots, "text 1", "negative", "why?", "so")]
    assert groups(*requests, *asked)[:9] == [(n,) for n in range(9)]


def test_two_agents_under_one_key_are_two():
    begin = [
        Request([("user", "go")], "on it", system=f"You are the {who} agent.") for who in ("first", "other")
    ]
    on = [
        Request(
            [("user", "go"), ("assistant", "on it"), ("user", "next")],
            who,
            system=f"You are the {who} agent.",
        )
        for who in ("first", "other")
    ]
    assert groups(begin[0], begin[1], on[0], on[1]) == [(0, 2), (1, 3)]


def test_time_stamps_and_what_follows_the_lead_don_t_count():
    lead = "You are the agent of a shop that sells lamps, tents and chairs to people."
    early = talk("a", "b", system=f"It is Monday, 2 March 2026, 09:14. {lead}")
    late = talk("a", "b", "c", "d", system=f"It is Tuesday, 3 Jan 2027, 10:00 pm. {lead} Found: a lamp.")
    assert groups(early, late) == [(0, 1)]


CALLS = [
    {
        "id": f"c{n}",
        "type": "function",
        "function": {"name": "find", "arguments": f'{{"q": {n}, "all": true}}'},
    }
    for n in range(2)
]
RENAMED = [
    {"id": f"z{n}", "type": "function", "function": {"name": "find", "arguments": f'{{"all":true,"q":{n}}}'}}
    for n in (1, 0)
]
RESULTS = [{"role": "tool", "tool_call_id": f"c{n}", "content": f"found {n}"} for n in range(2)]


def test_calls_are_the_same_whatever_their_ids_order_and_spacing():
    begin = Request([("user", "a")], {"role": "assistant", "content": None, "tool_calls": CALLS})
    calls = {"role": "assistant", "content": "", "tool_calls": RENAMED}
    middle = Request([("user", "a"), calls, *RESULTS], "both found")
    end = Request([("user", "a"), calls, *RESULTS[::-1], ("assistant", "both  found\n"), ("user", "b")], "c")
    assert groups(begin, middle, end) == [(0, 1, 2)]


def test_results_before_their_call_are_another_history():
    calls = {"role": "assistant", "tool_calls": CALLS}
    right = Request([("user", "a"), calls, *RESULTS], "x")
    wrong = Request([("user", "a"), *RESULTS, calls], "x")
    assert groups(right, wrong) == [(0,), (1,)]


def test_ids_win_and_prefixes_join_what_has_none():
    named = [talk("a", "b", id="one"), talk("a", "b", "c", "d", id="two")]
    assert groups(*named) == [(0,), (1,)]
    assert groups(named[0], talk("a", "b", "c", "d"), talk("a", "b", "c", "d", "e", "f")) == [(0, 1, 2)]
    assert groups(talk("a", "b"), named[1]) == [(0, 1)]
    assert groups(named[0], talk("a", "b", "c", "d"), talk("a", "b", "c", "d", "e", "f", id="three")) == [
        (0,),
        (1,),
        (2,),
    ], "between two ids it belongs to neither"


def _logged(seed):
    for number, call in enumerate(agent_log(seed, sessions=12, opening=0.3)):
        messages, answer = call.record["request"]["messages"], response_message(call.record["response"])
        request = Request(messages, answer, system=None)
        request.minute = call.record["response"]["created"] / 60
        yield number, request


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_any_order_of_a_log_gives_the_same_groups(seed, shuffled):
    log = list(_logged(seed))
    expected = groups(*(request for _, request in log), names=[number for number, _ in log])
    shuffled.shuffle(log)
    assert groups(*(request for _, request in log), names=[number for number, _ in log]) == expected


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_interleaving_of_conversations_keeps_them_apart(data):
    """Conversations that differ in their first message, cut anywhere, are never mixed and never torn."""
    said = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)
    requests, truth = [], []
    for number, turns in enumerate(data.draw(st.lists(said, min_size=1, max_size=6))):
        history = []
        for place, turn in enumerate(turns):
            history.append(f"{number} {turn}" if place == 0 else turn)
            requests.append(talk(*history, "ok", minute=len(requests)))
            truth.append(number)
            history.append("ok")
    order = data.draw(st.permutations(range(len(requests))))
    found = groups(*(requests[n] for n in order), names=list(order))
    expected = sorted(tuple(n for n in range(len(truth)) if truth[n] == name) for name in set(truth))
    assert found == expected


@pytest.mark.parametrize("most", [1, 64])
def test_a_log_is_read_in_pieces(monkeypatch, most):
    monkeypatch.setattr("freehold.datasets.sessions._AT_ONCE", most)
    monkeypatch.setattr("freehold.datasets.sessions._WITHIN_MEMORY", 2)
    history = ["a", "b", "c", "d", "e", "f"]
    requests = [talk(*history[:n]) for n in (2, 4, 6)]
    assert groups(*requests, talk("x", "y")) == [(0, 1, 2), (3,)]


CURATED = Recipe(near_duplicates=0.8)
SEEDS = (14, 15, 16)


def traces(log, **how):
    return [to_trace(number, call, **how) for number, call in enumerate(log)]


def is_later(call):
    return any(message["role"] == "assistant" for message in call.record["request"]["messages"])


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_without_ids_are_those_with_ids(seed):
    """And no turn is dropped for how it is spelled: those that call tools have no content here."""
    log, dropped = agent_log(seed), Counter()
    assert sum(map(is_later, log)) >= 150, "a log of conversations"
    assert not any(
        "content" in m for c in log for m in c.record["request"]["messages"] if m.get("tool_calls")
    )
    linked = list(linked_samples(traces(log), CURATED, dropped))
    assert len(linked) == len(log) and not dropped
    by_session, by_group = defaultdict(set), defaultdict(set)
    for one, call in zip(linked, log, strict=True):
        group = one.sample.group or question_id(one.sample.messages)
        by_session[call.session].add(group)
        by_group[group].add(call.session)
    same = sum(len(groups) == 1 and len(by_group[next(iter(groups))]) == 1 for groups in by_session.values())
    assert len(by_session) == 200
    assert same >= 0.99 * len(by_session)


@pytest.mark.parametrize("seed", SEEDS)
def test_little_of_the_training_part_is_lost(seed):
    made = make_samples(traces(agent_log(seed)), CURATED)
    lost = sum(count for reason, count in made.dropped.items() if reason.startswith("train "))
    assert lost <= 0.05 * (lost + len(made.by_split["train"]))
    assert {reason for reason in made.dropped if not reason.startswith("train ")} <= {
        "same request again",
        SAME_QUESTION,
        "validation question also held out",
    }


def test_refusals_are_answers_and_marked():
    made = make_samples(traces(agent_log()), CURATED)
    refused = [
        sample for name in SPLITS for sample in made.by_split[name] if sample.metadata.get("refusal") is True
    ]
    assert refused and {sample.target for sample in refused} == {REFUSAL}
    assert REFUSAL not in {s.target for n in SPLITS for s in made.by_split[n] if "refusal" not in s.metadata}


def test_a_session_stays_where_it_was_when_it_goes_on():
    log = agent_log()
    early, whole = traces(log[: len(log) // 2]), traces(log)
    before, after = make_samples(early, Recipe()), make_samples(whole, Recipe())
    where = {sample.id: name for name in SPLITS for sample in after.by_split[name]}
    placed = [(sample.id, name) for name in SPLITS for sample in before.by_split[name] if sample.id in where]
    moved = [id for id, name in placed if where[id] != name]
    assert len(placed) > 100 and len(moved) <= 0.02 * len(placed)
