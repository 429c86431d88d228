"""A judge's answers, its rubrics, labels of people, and what a judge gets to read."""

import asyncio
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.evals.judging.conftest import answer, honest, run

from freehold.errors import ConfigError, InputError
from freehold.evals.comparing import SideBySide
from freehold.evals.judging import Judge, JudgeOptions, load, told_answer
from freehold.evals.pairwise import answers_key, judge_pairs, read_differences, read_labels
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import score_all
from freehold.evals.scorers.judge import JudgeScorer
from freehold.evals.task_comparison import compare_by_task
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Task


def test_unreadable_judgements_are_unscored(serve):
    made, _ = run(serve, lambda body, attempt: "I like both", ["a"] * 3, ["b"] * 3)
    assert {one.score.reason for one in made.candidate} == {
        "judge_unreadable: no verdict in the judge's answer"
    }
    made, _ = run(serve, lambda body, attempt: web.Response(status=500), ["a"], ["b"])
    assert made.candidate[0].score.reason.startswith("judge_failed: http_500")


def test_judgements_are_kept(serve, tmp_path):
    async def go():
        async with serve(honest, streaming=False) as server:
            options = {"base_url": server.endpoint.base_url, "model": "j", "cache": str(tmp_path / "j.jsonl")}
            for _ in range(2):
                await compare_by_task(
                    SideBySide(
                        [Sample(id="s0", messages=())],
                        [None],
                        [answer(0, "i", "bad")],
                        [answer(0, "c", "good")],
                        "i",
                        "c",
                    ),
                    Task(name="t", scorer="judge", options=options),
                )
            return len(server.seen)

    assert asyncio.run(go()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = 'pairwise'", "missing required field `prompt`"),
        ("kind = 'absolute'\nprompt = '{answer}'\nverdict = '(a)'", "kind is absolute, expected pairwise"),
        ("kind = 'pairwise'\nprompt = '{answer_a}'\nverdict = '(a)'", "lacks answer_b"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}'\nverdict = 'a'", "no group"),
        ("kind = 'pairwise'\nprompt = ''\nverdict = ''\ncolour = 1", "unknown field `colour`"),
    ],
)
def test_a_rubric_with_a_mistake_is_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        load(path, "pairwise")
    assert "mine.toml" in raised.value.message


def test_human_labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"id": "a", "winner": "candidate"}\n{"id": "b", "winner": "tie"}\n\n{"id": "c", "winner": null}\n'
        '{"id": "d", "candidate": 2, "incumbent": 5}\n{"id": "a", "winner": "incumbent"}\n'
    )
    assert read_labels(path) == {"a": -1.0, "b": 0.0, "d": -1.0}
    assert read_differences(path, 4) == {"d": -0.75}
    path.write_text('{"id": "a", "winner": "mine"}\n')
    with pytest.raises(InputError, match=r"labels.jsonl:1: winner is 'mine'"):
        read_labels(path)


PLACE = {"base_url": "http://127.0.0.1:9", "model": "j"}
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


class Listening(Judge):
    """A judge that is never asked: it keeps what it would have been asked."""

    def __init__(self, mode="pairwise"):
        super().__init__(JudgeOptions(**PLACE, mode=mode))
        self.heard = []

    async def _ask(self, messages):
        self.heard.append("\n".join(one["content"] for one in messages))
        return ("[[A]]" if self.rubric.kind == "pairwise" else "[[3]]"), None


def asked(samples, incumbent, candidate):
    """What the judge of pairs reads, with the references that evaluate compares with."""

    async def go():
        judge = Listening()
        references = [one.target for one in samples]
        columns = (
            [answer(n, "i", text) for n, text in enumerate(incumbent)],
            [answer(n, "c", text) for n, text in enumerate(candidate)],
        )
        await judge_pairs(judge, SideBySide(samples, references, *columns, "i", "c"), margin=0.1)
        return judge.heard

    return asyncio.run(go())


def sample(**fields):
    return Sample(id="s0", messages=(Message(role="user", content="what now?"),), **fields)


@given(first=TEXT, second=TEXT, recorded=st.booleans(), copied=st.booleans())
def test_no_text_of_an_answer_stands_outside_its_place(first, second, recorded, copied):
    incumbent, candidate = f"‹i›{first}", f"‹c›{second}"
    one = sample(incumbent=incumbent if recorded else None, gold=f" {incumbent}." if copied else None)
    for text in (heard := asked([one], [incumbent], [candidate])):
        assert text.count("‹i›") == text.count("‹c›") == 1
        assert text.count(incumbent) == text.count(candidate) == 1
    a, b = heard
    assert a.index("‹c›") < a.index("‹i›") and b.index("‹i›") < b.index("‹c›"), "both orders"


@given(text=TEXT)
def test_a_single_answer_is_graded_without_the_incumbents(text):
    incumbent = f"‹i›{text}"

    async def go():
        scorer = JudgeScorer({**PLACE, "mode": "absolute"})
        scorer._judge = judge = Listening("absolute")
        await score_all(scorer, "c", [sample(incumbent=incumbent)], [ChatAnswer(output="other")], [incumbent])
        await scorer.close()
        return judge.heard

    assert [heard.count("‹i›") for heard in asyncio.run(go())] == [0]


def test_gold_that_is_neither_answer_is_told():
    one = sample(incumbent="blue", gold="a deep green")
    assert told_answer(one, "blue", "red") == "a deep green"
    assert all("a deep green" in text for text in asked([one], ["blue"], ["red"]))


@pytest.mark.parametrize("gold", [None, " ", "blue", "Blue.", "RED", "`red`\n"])
def test_what_may_have_been_copied_from_an_answer_is_not_told(gold):
    assert told_answer(sample(incumbent="blue", gold=gold), "blue", "red") is None


def test_an_uncalibrated_judge_never_promotes(serve):
    made, _ = run(serve, honest, ["good"] * 100, ["bad"] * 100)
    assert made.comparison.verdict == "hold"
    assert "judge_uncalibrated" in made.comparison.reasons
    assert any("not calibrated" in note for note in made.comparison.notes)


def labels_file(folder, winners, candidate=None, incumbent=None, **more):
    """As `freehold label` writes them: with both sides, each says which two answers it is of."""
    path = folder / "labels.jsonl"
    with path.open("w") as file:
        for place, winner in enumerate(winners):
            of = {"answers": answers_key(candidate[place], incumbent[place])} if candidate else {}
            file.write(json.dumps({"id": f"s{place}", "winner": winner, **of, **more}) + "\n")
    return str(path)


CANDIDATE_BETTER = (
    [f"good {i}" if i % 5 else "so" for i in range(200)],
    [f"bad {i}" if i % 5 else "la" for i in range(200)],
)


@pytest.mark.parametrize("changed", [200, 1])
def test_labels_of_another_candidate_promote_nothing(serve, tmp_path, changed):
    """People liked the first candidate; the second one, which loses each pair, was promoted by their labels."""
    good, bad = [f"good {i}" for i in range(200)], [f"bad {i}" for i in range(200)]
    labels = labels_file(tmp_path, ["candidate"] * 60, good, bad)
    first, _ = run(serve, honest, good, bad, human_labels=labels)
    assert first.comparison.verdict == "promote"
    second, _ = run(
        serve, honest, bad[:changed] + good[changed:], good[:changed] + bad[changed:], human_labels=labels
    )
    assert second.comparison.verdict == ("reject" if changed == 200 else "hold")
    others = min(changed, 60)
    assert any(f"{others} of 60 human labels are of other answers" in one for one in second.comparison.notes)


def test_labels_of_a_candidate_say_of_equal_answers_that_they_are_equal(serve, tmp_path):
    """A mixture's answer is the incumbent's own on most items: labels of the candidate alone moved it there, too."""
    good, bad = [f"good {i}" for i in range(200)], [f"bad {i}" for i in range(200)]
    labels = labels_file(tmp_path, ["candidate"] * 60, good, bad)
    mixed = [good[i] if i % 4 == 0 else bad[i] for i in range(200)]
    made, _ = run(serve, honest, mixed, bad, human_labels=labels)
    assert made.comparison.difference == pytest.approx(0.25, abs=0.03)
    assert any("Calibrated with 60 human labels" in note for note in made.comparison.notes)


def test_the_corrected_difference_is_the_one_that_counts(serve, tmp_path):
    """Judge and people disagree: what people say is the headline, of one sign everywhere; the judge's is a note."""
    labels = labels_file(tmp_path, ["incumbent" if i % 4 else "tie" for i in range(60)])
    made, _ = run(serve, honest, *CANDIDATE_BETTER, human_labels=labels)
    found = made.comparison
    assert found.method == "prediction-powered, 60 human labels"
    assert found.difference == pytest.approx(-0.75, abs=0.05)
    assert -1 <= found.ci_low < found.difference < found.ci_high < 0 and found.verdict == "reject"
    assert found.intervals["as_judged"][0] > 0.7 and found.intervals["calibrated"] == (
        found.ci_low,
        found.ci_high,
    )
    assert (found.incumbent_mean, found.candidate_mean, found.needed_n) == (None, None, None)
    notes = " ".join(found.notes)
    assert "As judged, before human labels corrected it, the difference lies in [+0.7" in notes
    assert "disagree by more than chance" in notes and "would settle it" not in notes


def test_a_calibration_with_hasty_labels_says_so(serve, tmp_path):
    labels = labels_file(tmp_path, ["tie"] * 60, seconds=0.25)
    made, _ = run(serve, honest, *CANDIDATE_BETTER, human_labels=labels)
    assert any("took 0.2 s each (median), too little to read" in note for note in made.comparison.notes)


def test_too_few_labels_leave_the_judges_number_and_say_so(serve, tmp_path):
    labels = labels_file(tmp_path, ["incumbent"] * 20)
    made, _ = run(serve, honest, *CANDIDATE_BETTER, human_labels=labels)
    found = made.comparison
    assert found.difference == pytest.approx(0.8) and found.verdict == "hold"
    assert "judge_uncalibrated" in found.reasons
    assert any(
        "not calibrated: 20 human labels meet judged pairs, 50 are needed" in note for note in found.notes
    )
