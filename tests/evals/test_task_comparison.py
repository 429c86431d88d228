import json

from tests.evals.judging.conftest import honest, run


def test_an_uncalibrated_judge_never_promotes(serve):
    made, _ = run(serve, honest, ["good"] * 100, ["bad"] * 100)
    assert made.comparison.verdict == "hold"
    assert "judge_uncalibrated" in made.comparison.reasons
    assert any("not calibrated" in note for note in made.comparison.notes)


def test_a_calibrated_judge_may_promote(serve, tmp_path):
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": f"s{i}", "winner": "candidate"}) + "\n" for i in range(60)))
    texts = (
        [f"good {i}" if i % 5 else "so" for i in range(200)],
        [f"bad {i}" if i % 5 else "la" for i in range(200)],
    )
    made, _ = run(serve, honest, *texts, human_labels=str(labels))
    assert any("Calibrated with 60 human labels" in note for note in made.comparison.notes)
    assert made.comparison.verdict == "promote"


def test_people_who_disagree_stop_it(serve, tmp_path):
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": f"s{i}", "winner": "incumbent"}) + "\n" for i in range(60)))
    made, _ = run(serve, honest, ["good"] * 200, ["bad"] * 200, human_labels=str(labels))
    assert made.comparison.verdict != "promote"
