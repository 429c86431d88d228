import pytest
from tests.report.sample_report import comparison

from freehold.cli.prove.comparison_text import differing_text, show_items, show_latency
from freehold.types.report import Disagreement, LatencySummary


def item(**changes):
    values = {
        "sample_id": "s1",
        "question": "where  is\nmy order?",
        "reference": "shipping",
        "incumbent_answer": "it is shipping now",
        "candidate_answer": "it is billing now",
        "incumbent_score": 1.0,
        "candidate_score": 0.0,
    }
    return Disagreement(**{**values, **changes})


def shown(capsys, *items, total=1):
    show_items(items, f"{total:,} items scored differently")
    return capsys.readouterr().out.splitlines()


def test_what_differs_is_shown_by_words(capsys):
    lines = shown(capsys, item(), total=1200)
    assert lines[1] == "1 of 1,200 items scored differently, the candidate's losses first"
    assert "   asked      where is my order?" in lines
    assert "   right      shipping" in lines
    assert lines[-2:] == ["     - shipping", "     + billing"]


def test_what_the_scorer_said_is_shown(capsys):
    lines = shown(capsys, item(candidate_reason="answer_raised: ValueError: no SQL (score.py:4)"))
    after = lines.index("   candidate  0.00  it is billing now")
    assert lines[after + 1] == "   because          answer_raised: ValueError: no SQL (score.py:4)"
    assert not any(line.startswith("   because") for line in lines[:after])


@pytest.mark.parametrize(
    ("total", "only", "text"),
    [
        (21, (13, 8), "21 items scored differently"),
        (25, (13, 8), "25 items scored differently, 4 of them scored for one model only"),
        (25, (None, None), "25 items scored differently"),
    ],
)
def test_items_with_one_score_only_are_no_part_of_what_the_models_differ_on(total, only, text):
    made = comparison(a_only=only[0], b_only=only[1])
    assert differing_text(total, made) == text


def test_json_differs_key_by_key(capsys):
    lines = shown(capsys, item(incumbent_answer='{"a": 1, "b": 2}', candidate_answer='{"b": 3, "a": 1}'))
    assert lines[-2:] == ["     - b: 2", "     + b: 3"]


def test_an_answer_that_is_missing_or_long(capsys):
    lines = shown(capsys, item(candidate_answer=None, candidate_score=None, reference=None))
    assert lines[-1] == "   candidate     –  (no answer)"
    lines = shown(capsys, item(incumbent_answer="a " * 300))
    assert max(map(len, lines)) < 230
    many = " ".join(f"w{number} same{number}" for number in range(40))
    assert shown(capsys, item(candidate_answer=many, incumbent_answer=many.replace("w", "v")))[-1] == "     …"


def test_times_are_told_where_they_were_measured(capsys):
    show_latency(LatencySummary(n=0, concurrency=4))
    assert capsys.readouterr().out == ""
    measured = LatencySummary(
        n=9, concurrency=4, total_p50_ms=1200, total_p95_ms=2400, ttft_p50_ms=50, ttft_p95_ms=90,
        prompt_tokens=4000, completion_tokens=800,
    )  # fmt: skip
    show_latency(measured)
    latency, tokens = capsys.readouterr().out.strip().splitlines()
    assert latency.endswith("total 1,200 / 2,400 ms, first token 50 / 90 ms, 4 at once")
    assert tokens.split(None, 1)[1] == "4,000 in, 800 out"
