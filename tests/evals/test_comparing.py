from collections import Counter

import pytest

from freehold.errors import UsageError
from freehold.evals.comparing import (
    Scale,
    SideBySide,
    code,
    compare,
    counted,
    disagreements,
)
from freehold.stats.compare import ScoreContext
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score, Task

TASK = Task(name="intents", scorer="exact", margin=0.1, slices=("language",))


def sample(row, group=None):
    message = Message(role="user", content=f"question {row}")
    language = {"language": "de" if row % 2 else "en"}
    return Sample(id=f"s{row}", messages=(message,), group=group, metadata=language)


def results(model, values, **fields):
    return [
        EvalResult(
            sample_id=f"s{row}",
            model=model,
            output=f"{model} {row}",
            score=value if isinstance(value, Score) else Score(value=value),
            **fields,
        )
        for row, value in enumerate(values)
    ]


def side_by_side(incumbent, candidate, groups=None):
    samples = [sample(row, groups[row] if groups else None) for row in range(len(incumbent))]
    return SideBySide(
        samples,
        ["right"] * len(samples),
        results("gpt", incumbent),
        results("open", candidate),
        "gpt-4o",
        "open-8b",
    )


def test_a_comparison_has_names_slices_and_what_it_was_made_from():
    both = side_by_side([1.0] * 40, [1.0] * 39 + [0.0])
    made = compare(both, TASK, made_from=("dataset",), notes=("a note",))
    assert (made.incumbent, made.candidate, made.task) == ("gpt-4o", "open-8b", "intents")
    assert (made.n, made.a_only, made.b_only, made.n_groups) == (40, 1, 0, None)
    assert {part.name for part in made.slices} == {"language=de", "language=en"}
    assert (made.made_from, made.notes[0]) == (("dataset",), "a note")
    again = compare(both, TASK, made_from=("dataset",), context=ScoreContext(looks=2))
    assert again.id != made.id
    assert "repeated_look" in again.reasons


def test_groups_are_the_units_where_any_sample_has_one():
    groups = [f"user {row // 2}" for row in range(38)] + [None, None]
    made = compare(side_by_side([1.0] * 40, [1.0] * 40, groups), TASK)
    assert made.n_groups == 21


def test_a_scale_of_its_own_takes_scores_outside_zero_to_one():
    made = compare(side_by_side([0.0] * 40, [-1.0, 1.0] * 20), TASK, scale=Scale(-1.0, 1.0))
    assert (made.difference, made.binary) == (0.0, False)
    with pytest.raises(UsageError, match="outside 0 to 1"):
        compare(side_by_side([0.0] * 40, [-1.0, 1.0] * 20), TASK)


def test_results_of_other_samples_are_refused():
    both = side_by_side([1.0] * 3, [1.0] * 3)
    with pytest.raises(UsageError, match="the candidate's results are not in the samples' order"):
        compare(both._replace(candidate=both.candidate[::-1]), TASK)


def test_faults_are_told_apart_by_side_and_by_whose_they_are():
    broken = Score(value=0.0, reason="not_json: x", format_ok=False)
    both = side_by_side([Score(value=None, reason="http_500: boom"), 1.0], [1.0, broken])
    cut = [both.candidate[0], *results("open", [1.0, broken], error="cut: at the limit")[1:]]
    made = compare(both._replace(candidate=cut), TASK)
    assert "incumbent unscored: 1 http_500." in made.notes
    assert "candidate scored lowest for its own faults: 1 cut." in made.notes
    assert (made.incumbent_format_failures, made.candidate_format_failures) == (0, 1)


def test_disagreements_are_the_largest_losses_first():
    both = side_by_side([1.0, 1.0, 0.2, 0.5, None], [1.0, 0.4, 0.9, 0.0, 1.0])
    found = disagreements(both.samples, both.incumbent, both.candidate, both.references)
    assert [one.sample_id for one in found] == ["s1", "s3", "s4", "s2"]
    assert (found[0].question, found[0].reference, found[0].candidate_answer) == (
        "question 1",
        "right",
        "open 1",
    )
    assert found[:2] == disagreements(both.samples, both.incumbent, both.candidate, both.references, limit=2)


def test_codes_are_what_stands_before_the_colon():
    assert [code(text) for text in ("cut: at the limit", "timeout", None)] == ["cut", "timeout", "unknown"]
    assert counted(Counter(b=1, a=1200)) == "1,200 a, 1 b"
