import msgspec
import pytest
from tests.report.sample_mixture import mixture

from freehold.errors import StorageError
from freehold.evals.comparing import SideBySide
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import Evaluation, LatencySummary, Measured
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.journey.mixing.looking import decide, held_out_results, mixed

RULE = mixture().rule
SURE, UNSURE = 0.99, 0.01


def sample(number, **metadata):
    return Sample(id=str(number), messages=(Message(role="user", content="q"),), metadata=metadata)


def answer(number, raw, *, value=0.0, error=None, ms=10.0):
    signals = {} if raw is None else {"probability": raw}
    return EvalResult(
        sample_id=str(number), model="small", output="a", score=Score(value=value), error=error, signals=signals,
        total_ms=ms,
    )  # fmt: skip


SAMPLES = [sample(0), sample(1), sample(2), sample(3, team="legal"), sample(4, team="health"), sample(5)]
OWN = [
    answer(0, SURE),
    answer(1, UNSURE, ms=30.0),
    answer(2, None),
    answer(3, SURE),
    answer(4, UNSURE),
    answer(5, SURE, value=None, error="http_500"),
]


def test_who_answers_by_the_rule():
    assert (decide(RULE, SAMPLES, OWN) >= RULE.threshold).tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    declared = msgspec.structs.replace(
        RULE, always_incumbent=({"team": "legal"},), never_defer_out=({"team": "health"},)
    )
    assert (decide(declared, SAMPLES, OWN) >= RULE.threshold).tolist() == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]


def test_the_mixture_has_the_incumbents_results_elsewhere():
    theirs = [answer(at, None, value=1.0) for at in range(6)]
    results = SideBySide(SAMPLES, [None] * 6, theirs, OWN, "big", "small")
    made = mixed(results, decide(RULE, SAMPLES, OWN) >= RULE.threshold)
    assert [one.score.value for one in made.candidate] == [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    assert made.incumbent is theirs


def test_an_upper_model_has_its_results_where_it_answers():
    theirs = [answer(at, None, value=1.0) for at in range(6)]
    results = SideBySide(SAMPLES, [None] * 6, theirs, OWN, "big", "small")
    upper = {1: answer(1, None, value=0.5)}
    made = mixed(results, decide(RULE, SAMPLES, OWN) >= RULE.threshold, upper)
    assert [one.score.value for one in made.candidate] == [0.0, 0.5, 1.0, 0.0, 1.0, 1.0]


def test_results_that_are_gone_are_told(tmp_path):
    made = Evaluation(
        id="e", task=Task(name="t", scorer="label"), dataset_id="d", incumbent="big", candidate="small", endpoint="",
        comparison=None, measured=Measured(n=0, mean=None, ci_low=None, ci_high=None, level=0.95, method="t"),
        references="gold", latency=LatencySummary(n=0, concurrency=1), results_file=str(tmp_path / "gone.jsonl"),
    )  # fmt: skip
    with pytest.raises(StorageError, match=r"gone\.jsonl.*cannot be read"):
        held_out_results(made)
