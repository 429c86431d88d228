from freehold.evals.comparing import SideBySide
from freehold.evals.regressions import regressions
from freehold.types.evaluation import EvalResult, Score


def result(output, value, **more):
    score = Score(value=value, format_ok=more.pop("format_ok", True), parts=more.pop("parts", {}))
    return EvalResult(sample_id="s", model="m", output=output, score=score, **more)


def found(*rows):
    references, one, other = zip(*rows, strict=True)
    return regressions(SideBySide([None] * len(rows), references, one, other, "i", "c"))


RIGHT = result("billing", 1.0)


def test_lost_pairs_are_counted_by_what_was_wrong():
    told = found(
        ("billing", RIGHT, result("payments", 0.0)),
        ("billing", RIGHT, result("payments", 0.0)),
        ("billing", RIGHT, result("well, billing", 0.0, format_ok=False)),
        ("billing", RIGHT, result(None, 0.0, error="timeout")),
        ("billing", RIGHT, result(" ", 0.0)),
        ("billing", RIGHT, result("billing!", 0.5)),
        ("billing", result("payments", 0.0), RIGHT),
        ("billing", RIGHT, RIGHT),
        ("billing", RIGHT, result("x", None)),
    )
    assert (told.scored, told.lost, told.won) == (8, 6, 1)
    assert told.by_cause == {
        "a wrong answer": 2, "an answer in the wrong form": 1, "no answer": 1, "an empty answer": 1,
        "a worse answer": 1,
    }  # fmt: skip
    assert told.confusions[0] == ("billing", "payments", 2)
    assert sum(told.by_cause.values()) == told.lost


def test_fields_are_counted_for_both_sides_over_all_pairs():
    all_right = result("{}", 1.0, parts={"a": 1.0, "b": 1.0})
    told = found(
        ("{}", all_right, result("{}", 0.5, parts={"a": 0.0, "b": 1.0})),
        ("{}", all_right, result("{}", 0.0, parts={"a": 0.0, "b": 0.0})),
        ("{}", result("{}", 0.5, parts={"a": 1.0, "b": 0.0}), all_right),
    )
    assert told.by_field == {"a": (2, 0), "b": (1, 1)}
    assert told.by_cause == {"one field wrong": 1, "several fields wrong": 1}
    assert told.confusions == ()


def test_long_answers_are_no_confusion_and_nothing_scored_is_nothing():
    assert found(("a" * 99, RIGHT, result("b", 0.0))).confusions == ()
    assert found(("a", result("x", None), RIGHT)).scored == 0
