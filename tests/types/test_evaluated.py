from datetime import UTC, datetime

from freehold.types.evaluated import Evaluation, EvaluationLine, LatencySummary, Measured
from freehold.types.evaluation import Task


def test_a_line_keeps_what_was_measured_and_no_words():
    made = Evaluation(
        id="e",
        task=Task(name="t", scorer="label"),
        dataset_id="sha256:d",
        incumbent="old",
        candidate="new",
        endpoint="files",
        comparison=None,
        measured=Measured(n=9, mean=0.5, ci_low=0.2, ci_high=0.8, level=0.95, method="wilson"),
        references="gold",
        latency=LatencySummary(n=0, concurrency=1),
    )
    at = datetime(2026, 11, 26, tzinfo=UTC)
    line = EvaluationLine.of(made, at)
    assert (line.id, line.at, line.incumbent, line.candidate) == ("e", at, "old", "new")
    assert (line.n, line.score, line.ci_low, line.ci_high) == (9, 0.5, 0.2, 0.8)
    assert line.difference is line.verdict is line.look is None
    assert "disagreements" not in line.__struct_fields__
