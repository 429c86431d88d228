import anyio
from tests.workflows.prove.preflight.held_out import sample

from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight.incumbent import incumbent_scores


def scores(samples, *, scorer="exact", options=None):
    task = Task(name="t", scorer=scorer, margin=0.03, options=options or {})
    return anyio.run(incumbent_scores, task, samples, {})


def test_recorded_answers_are_scored_against_what_is_right():
    assert scores([sample(n, incumbent="yes" if n % 4 else "no") for n in range(8)]) == [0, 1, 1, 1] * 2


def test_nothing_is_said_where_nothing_says_what_is_right_or_asking_would_cost():
    assert scores([sample(0), sample(1, gold=None)]) is None
    judge = {"base_url": "http://127.0.0.1:9", "model": "m"}
    assert scores([sample(0)], scorer="judge", options=judge) is None
