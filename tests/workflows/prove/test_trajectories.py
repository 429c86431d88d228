"""Whole sessions of an agent's log, played by agents that are right, eager or now and then wrong."""

import asyncio
import json
import random
from pathlib import Path

import pytest
from tests.evals import agent_log
from tests.evals.agent_server import agent, key, recorded
from tests.workflows.prove.test_evaluate import make_dataset

from freehold.errors import ConfigError, UsageError
from freehold.evals.chat.asker import Budget
from freehold.evals.replay import ReplayOptions
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.trajectory import TrajectoryEvaluation
from freehold.workflows.project import open_project
from freehold.workflows.prove.evaluate import HeldOutSelection, ServedCandidate
from freehold.workflows.prove.task import task_of
from freehold.workflows.prove.trajectories import (
    TrajectoryRequest,
    evaluate_trajectories,
    survival,
)

SESSIONS = 60
ESCALATE = {"role": "assistant", "content": None, "tool_calls": [agent_log.call("e", "escalate", why="sure")]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "t"\n[task]\nscorer = "turn"\nmargin = 0.1\n')
    opened = open_project()
    held_out = [one for one in agent_log.samples(SESSIONS) if one.target is not None]
    with open_store(opened.store_url) as store:
        store.put(make_dataset(tmp_path, held_out, incumbent_model="gpt-4o-2024-08-06"))
    return opened


def evaluate(project, url, success="state:refund,escalate", *, limit=None, anyway=True, **options):
    endpoint = Endpoint(name=url, engine="remote", base_url=url)
    return asyncio.run(
        evaluate_trajectories(
            project,
            ServedCandidate(endpoint, "cand"),
            task_of(project),
            TrajectoryRequest(success, anyway=anyway),
            selection=HeldOutSelection(limit=limit),
            options=ReplayOptions(**options),
        )
    )


@pytest.mark.parametrize("success", ["final_calls", "state:refund,escalate"])
def test_an_agent_that_decides_as_recorded_brings_every_session_to_its_end(project, success):
    with agent(recorded(SESSIONS)) as (url, _):
        made = evaluate(project, url, success)
    assert made.comparison.verdict == "promote"
    assert made.comparison.candidate_mean == 1.0
    assert made.ended == {"finished": made.sessions}
    assert made.results.keys() == {"exact"}
    assert made.sessions_with_a_miss == 0
    assert [one.survived for one in made.survival] == [1.0] * len(made.survival)
    assert sum(one.at_risk for one in made.survival) == made.turns


def test_an_eager_agent_is_rejected_and_parts_where_words_were_wanted(project):
    as_recorded = recorded(SESSIONS)

    def eager(body):
        found = as_recorded(body)
        return found if found.get("tool_calls") else ESCALATE

    with agent(eager) as (url, _):
        made = evaluate(project, url)
    assert made.comparison.verdict == "reject"
    assert made.ended.keys() <= {"turn_limit"}
    assert made.results["miss"] > 0
    assert made.survival[-1].survived == 0.0
    assert any("No tool was run" in note for note in made.notes)


def test_errors_compound_over_turns_and_that_is_shown(project):
    as_recorded = recorded(SESSIONS)

    def erring(body):
        chance = random.Random(key(body["messages"]))
        return ESCALATE if chance.random() < 0.15 else as_recorded(body)

    with agent(erring) as (url, _):
        made = evaluate(project, url)
    shares = [one.survived for one in made.survival]
    assert shares == sorted(shares, reverse=True)
    assert 0.7 < made.survival[0].accuracy < 0.97
    assert shares[-1] < shares[0]
    first = made.survival[1]
    assert first.if_independent == pytest.approx(made.survival[0].if_independent ** 2)
    lines = [json.loads(line) for line in Path(made.results_file).read_text().splitlines()]
    assert len(lines) == made.sessions
    assert sum(one["parted_at"] is not None for one in lines) > 0
    assert made.comparison.n == made.sessions, "a session is one item"


def test_a_stopped_run_goes_on_where_it_was(project):
    with agent(recorded(SESSIONS)) as (url, seen):
        cut = evaluate(project, url, budget=Budget(requests=30), concurrency=1)
        assert len(seen) == 30
        assert cut.ended["infrastructure"] > 0
        assert cut.comparison.verdict != "promote"
        whole = evaluate(project, url)
        assert len(seen) == whole.turns, "nothing was asked twice"
    assert whole.ended == {"finished": whole.sessions}


def test_a_second_look_is_counted(project):
    with agent(recorded(SESSIONS)) as (url, _):
        first = evaluate(project, url, "final_calls")
        second = evaluate(project, url, "state:refund")
        again = evaluate(project, url, "final_calls")
    assert (first.comparison.verdict, second.comparison.verdict) == ("promote", "hold")
    assert again.id == first.id
    with open_store(project.store_url) as store:
        assert [one.id for one in store.records(TrajectoryEvaluation)] == [first.id, second.id]


def test_mistakes_are_said_before_anything_is_asked(project, tmp_path):
    with pytest.raises(ConfigError, match="unknown success won"):
        evaluate(project, "http://127.0.0.1:9", "won")
    empty = Sample(id="s0", messages=(Message(role="user", content="?"),))
    with open_store(project.store_url) as store:
        store.put(make_dataset(tmp_path, [empty]))
    with pytest.raises(UsageError, match="no held-out session has an answer"):
        evaluate(project, "http://127.0.0.1:9")


def test_sessions_that_were_never_asked_do_not_count():
    assert survival([]) == ()
