"""An agent's log without ids becomes the same conversations as with them, and nearly all of it is taught."""

from collections import Counter, defaultdict

import pytest
from tests.datasets.agent_log import REFUSAL, agent_log, to_trace

from freehold.datasets.building import SAME_QUESTION, make_samples
from freehold.datasets.sampling import Recipe
from freehold.datasets.sessions import linked_samples
from freehold.types.dataset import SPLITS
from freehold.types.identity import question_id

CURATED = Recipe(near_duplicates=0.8)
SEEDS = (14, 15, 16)


def traces(log, **how):
    return [to_trace(number, call, **how) for number, call in enumerate(log)]


def is_later(call):
    return any(message["role"] == "assistant" for message in call.record["request"]["messages"])


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_without_ids_are_those_with_ids(seed):
    log = agent_log(seed)
    linked = list(linked_samples(traces(log), CURATED, Counter()))
    by_session, by_group = defaultdict(set), defaultdict(set)
    for one, call in zip(linked, log, strict=True):
        group = one.sample.group or question_id(one.sample.messages)
        by_session[call.session].add(group)
        by_group[group].add(call.session)
    same = sum(len(groups) == 1 and len(by_group[next(iter(groups))]) == 1 for groups in by_session.values())
    assert len(by_session) == 200
    assert same >= 0.99 * len(by_session)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_turn_is_dropped_for_how_it_is_spelled(seed):
    log = agent_log(seed)
    assert sum(map(is_later, log)) >= 150, "a log of conversations"
    assert not any(
        "content" in m for c in log for m in c.record["request"]["messages"] if m.get("tool_calls")
    )
    dropped = Counter()
    assert len(list(linked_samples(traces(log), CURATED, dropped))) == len(log)
    assert not dropped


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


def test_no_conversation_is_torn():
    made = make_samples(traces(agent_log()), CURATED)
    groups = [{sample.group for sample in made.by_split[name]} - {None} for name in SPLITS]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_the_order_of_the_log_changes_nothing():
    log = traces(agent_log())
    made, again = make_samples(log, CURATED), make_samples(log[::-1], CURATED)
    for name in SPLITS:
        assert [(s.id, s.group) for s in made.by_split[name]] == [
            (s.id, s.group) for s in again.by_split[name]
        ]


def test_a_session_stays_where_it_was_when_it_goes_on():
    log = agent_log()
    early, whole = traces(log[: len(log) // 2]), traces(log)
    before, after = make_samples(early, Recipe()), make_samples(whole, Recipe())
    where = {sample.id: name for name in SPLITS for sample in after.by_split[name]}
    placed = [(sample.id, name) for name in SPLITS for sample in before.by_split[name] if sample.id in where]
    moved = [id for id, name in placed if where[id] != name]
    assert len(placed) > 100 and len(moved) <= 0.02 * len(placed)
