"""Comparisons: slices, regressions, latency, faults."""

import anyio
import msgspec
import pytest

from freehold.evals.comparing import SideBySide, compare, disagreements, regressions, slice_values
from freehold.evals.task_comparison import compare_by_task
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


def test_a_question_asked_again_weighs_and_is_no_further_evidence():
    """Forty questions five times, in other spellings: as wide as forty, and all two hundred in the mean."""
    both = side_by_side([1.0] * 200, [1.0 if row % 40 else 0.0 for row in range(200)])
    texts = ["question {}", "QUESTION {}", "Question {}!", "question  {}?", "“question {}”"]
    samples = [
        msgspec.structs.replace(
            one, messages=(Message(role="user", content=texts[row // 40].format(row % 40)),), metadata={}
        )
        for row, one in enumerate(both.samples)
    ]
    task = Task(name="intents", scorer="exact", margin=0.1)
    made = compare(both._replace(samples=samples), task)
    assert (made.n, made.n_groups, made.difference) == (200, 40, pytest.approx(-0.025))
    assert made.ci_low < compare(both, task).ci_low
    others = compare(both._replace(samples=samples, references=[f"right {row}" for row in range(200)]), task)
    assert others.n_groups is None, "with other right answers they are other items"


def test_a_word_garbled_left_out_or_put_in_is_no_further_evidence_and_a_town_is():
    """Forty questions three times in other guises are forty units; with the towns of a field they are as many."""
    letters = "abcdefgh"
    asked = [f"{letters[row % 8] * 3} {letters[row // 8] * 4} card lost again" for row in range(40)]
    garbled = [text.replace("again", "x" * (row + 1)) for row, text in enumerate(asked)]
    both = side_by_side([1.0] * 120, [1.0] * 120)

    def units(texts):
        samples = [
            msgspec.structs.replace(one, messages=(Message(role="user", content=text),), metadata={})
            for one, text in zip(both.samples, texts, strict=True)
        ]
        return compare(both._replace(samples=samples), Task(name="t", scorer="exact", margin=0.1)).n_groups

    assert units([*asked, *garbled, *(f"please {text}" for text in asked)]) == 40
    towns = [f"what is the weather in {'abcdefghij'[row % 10] * (row // 10 + 1)}" for row in range(120)]
    assert units(towns) is None


@pytest.mark.parametrize(("scorer", "counted"), [("exact", 30 * 5), ("turn", 30 * 8)])
def test_of_a_group_five_count_and_a_session_is_judged_whole(scorer, counted):
    both = side_by_side([1.0] * 240, [1.0] * 240, groups=[f"session {row // 8}" for row in range(240)])
    made = anyio.run(compare_by_task, both, Task(name="agent", scorer=scorer, margin=0.1))
    assert (made.comparison.n, made.comparison.n_groups) == (counted, 30)


def test_groups_are_the_units_where_any_sample_has_one():
    groups = [f"user {row // 2}" for row in range(38)] + [None, None]
    made = compare(side_by_side([1.0] * 40, [1.0] * 40, groups), TASK)
    assert made.n_groups == 21


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


def sliced(text, gold=None, **metadata):
    return Sample(id=text, messages=(Message(role="user", content=text),), gold=gold, metadata=metadata)


def test_length_in_thirds():
    values = slice_values("length", [sliced("x" * n) for n in (1, 2, 3, 10, 11, 12, 30, 31, 32)])
    assert [value.split()[0] for value in values] == ["short"] * 3 + ["medium"] * 3 + ["long"] * 3
    assert slice_values("length", [sliced("x"), sliced("y")]) == [None, None]


def test_gold_fields_labels_and_metadata():
    samples = [sliced("a", '{"intent": "refund", "id": null}', vip=True), sliced("b", "not json", vip=False)]
    assert slice_values("gold.intent", samples) == ["refund", None]
    assert slice_values("gold.id", samples) == ["null", None]
    assert slice_values("vip", samples) == ["true", "false"]
    assert slice_values("label", [sliced("a", "yes"), sliced("b", "y" * 99)]) == ["yes", None]
