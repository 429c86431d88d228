"""A judge on a loopback endpoint: order, bias, calibration, cache; and published judgements recomputed."""

import csv
import json
from collections import defaultdict

import pytest
from tests.evals.judging.conftest import honest, run, shown

from freehold.evals.judging import same_family
from freehold.stats.judges import order_swap
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score


def first_lover(body, attempt):
    return "Both fine. [[A]]"


def test_a_win_counts_only_when_both_orders_agree(serve):
    made, server = run(serve, honest, ["good"] * 6 + ["bad", "so"], ["bad"] * 6 + ["good", "la"])
    assert [one.score.value for one in made.candidate] == [1.0] * 6 + [-1.0, 0.0]
    assert [one.score.value for one in made.incumbent] == [0.0] * 8
    assert made.comparison.difference == pytest.approx(5 / 8)
    assert len(server.seen) == 16
    assert any("the same verdict in 100.0%" in note for note in made.comparison.notes)


def test_a_judge_that_loves_the_first_answer_decides_nothing(serve):
    made, _ = run(serve, first_lover, [f"x{i}" for i in range(40)], [f"y{i}" for i in range(40)])
    assert {one.score.value for one in made.candidate} == {0.0}
    assert made.comparison.verdict == "hold"
    assert "judge_inconsistent" in made.comparison.reasons
    assert any("the first answer wins 100.0%" in note for note in made.comparison.notes)


def test_a_judge_of_the_incumbents_family_is_warned_about_and_may_not_reject(serve):
    made, _ = run(
        serve, honest, ["bad"] * 100, ["good"] * 100, model="gpt-6", incumbent_name="gpt-4o-2024-08-06"
    )
    assert made.comparison.verdict == "hold"
    assert any("own family (openai)" in note for note in made.comparison.notes)
    assert same_family("claude-sonnet-5", "anthropic/claude-3-haiku")
    assert not same_family("my-model", "my-model")


def test_length_is_looked_at(serve):
    longer = lambda body, attempt: "[[A]]" if len(shown(body)[0]) > len(shown(body)[1]) else "[[B]]"  # noqa: E731
    made, _ = run(
        serve,
        longer,
        ["long " * (i + 3) for i in range(30)],
        ["short " * (2 if i % 3 else i + 6) for i in range(30)],
    )
    assert any(note.startswith("At equal length") for note in made.comparison.notes)


def test_equal_answers_and_faults_need_no_judge(serve):
    faulty = EvalResult(sample_id="s1", model="c", output="", error="cut: x", score=Score(value=0.0))
    gone = EvalResult(
        sample_id="s2",
        model="c",
        output=None,
        error="http_500: x",
        score=Score(value=None, reason="http_500"),
    )
    made, server = run(serve, honest, [" same", faulty, gone], ["same", "good", "good"])
    assert [one.score.value for one in made.candidate] == [0.0, -1.0, None]
    assert not server.seen


def parrot(body, attempt):
    """Prefers the answer that it was told is right, as a judge that is told one does."""
    text = body["messages"][-1]["content"]
    told = text.split("# Right answer, where one is known\n")[1].split("\n")[0]
    return {(True, False): "[[A]]", (False, True): "[[B]]"}.get(
        tuple(told == one for one in shown(body)), "[[C]]"
    )


@pytest.mark.parametrize("gold", [None, "i {}", "c {}"])
def test_a_judge_that_prefers_what_equals_the_reference_decides_nothing(serve, gold):
    """Two answers of one worth: whatever copy of either is called gold, the difference is 0."""
    samples = [
        Sample(
            id=f"s{n}",
            messages=(Message(role="user", content="?"),),
            incumbent=f"i {n}",
            gold=gold and gold.format(n),
        )
        for n in range(20)
    ]

    candidate = [f"c {n}" if n < 15 else f" i  {n}\n" for n in range(20)]
    made, server = run(serve, parrot, candidate, [f"i {n}" for n in range(20)], samples=samples)
    assert made.comparison.difference == 0
    assert len(server.seen) == 30, "15 pairs in both orders; 5 are equal"
    notes = " ".join(made.comparison.notes)
    assert "5 of 20 pairs are equal answers: ties, not shown to the judge." in notes
    assert ("On 15 of 15 pairs with a right answer it is one of the two" in notes) == (gold is not None)


@pytest.fixture(scope="module")
def ratings(shared_data):
    folder = shared_data("vicuna_qlora")

    def rows(name):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return rows("ratings_gpt4_pairwise.csv"), rows("ratings_gpt4_relative_to_gpt35.csv"), folder


def test_the_judges_taste_for_the_first_answer_is_found(ratings):
    pairs, _, folder = ratings
    published = json.loads((folder / "recomputed_check.json").read_text())
    read = [row for row in pairs if row["score"] != "-1"]
    assert len(pairs) - len(read) == 13
    firsts = sum(row["score"] == "1" for row in read) / len(read)
    assert firsts == pytest.approx(published["share_first_wins"], abs=1e-12)
    assert sum(row["score"] == "3" for row in read) / len(read) == pytest.approx(0.134, abs=5e-4)

    by_pair = defaultdict(dict)
    for row in read:
        names = tuple(sorted((row["model_1"], row["model_2"])))
        by_pair[row["question_id"], *names][row["model_1"] == names[0]] = row["score"]
    both = [orders for orders in by_pair.values() if len(orders) == 2]
    swap = order_swap(
        [{"1": "C", "2": "I", "3": "T"}[orders[True]] for orders in both],
        [{"1": "I", "2": "C", "3": "T"}[orders[False]] for orders in both],
    )
    assert len(both) > 2200
    decided = [row for row in read if row["score"] != "3"]
    assert swap.first_position_share == pytest.approx(
        sum(row["score"] == "1" for row in decided) / len(decided), abs=0.005
    )
    assert swap.p_position < 1e-6
    assert swap.consistency < 0.7
