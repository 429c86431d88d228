import json

import pytest
from tests.evals.judging.conftest import honest, run

from freehold.evals.judging.human_labels import answers_key


def test_an_uncalibrated_judge_never_promotes(serve):
    made, _ = run(serve, honest, ["good"] * 100, ["bad"] * 100)
    assert made.comparison.verdict == "hold"
    assert "judge_uncalibrated" in made.comparison.reasons
    assert any("not calibrated" in note for note in made.comparison.notes)


def labels_file(folder, winners):
    path = folder / "labels.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"s{i}", "winner": one}) + "\n" for i, one in enumerate(winners))
    )
    return str(path)


CANDIDATE_BETTER = (
    [f"good {i}" if i % 5 else "so" for i in range(200)],
    [f"bad {i}" if i % 5 else "la" for i in range(200)],
)


def test_a_calibrated_judge_may_promote(serve, tmp_path):
    labels = labels_file(tmp_path, ["candidate"] * 60)
    made, _ = run(serve, honest, *CANDIDATE_BETTER, human_labels=labels)
    assert any("Calibrated with 60 human labels" in note for note in made.comparison.notes)
    assert made.comparison.verdict == "promote"


def labels_of(folder, candidate, incumbent, winners):
    """As `freehold label` writes them: each says which two answers it is of."""
    path = folder / "labels.jsonl"
    lines = [
        {"id": f"s{place}", "winner": winner, "answers": answers_key(candidate[place], incumbent[place])}
        for place, winner in enumerate(winners)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.mark.parametrize("changed", [200, 1])
def test_labels_of_another_candidate_promote_nothing(serve, tmp_path, changed):
    """People liked the first candidate; the second one, which loses each pair, was promoted by their labels."""
    good, bad = [f"good {i}" for i in range(200)], [f"bad {i}" for i in range(200)]
    labels = labels_of(tmp_path, good, bad, ["candidate"] * 60)
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
    labels = labels_of(tmp_path, good, bad, ["candidate"] * 60)
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
    assert "As judged, before human labels corrected it: incumbent 0.0000, candidate 0.8000" in notes
    assert "disagree by more than chance" in notes and "would settle it" not in notes


def test_a_calibration_with_hasty_labels_says_so(serve, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"s{i}", "winner": "tie", "seconds": 0.25}) + "\n" for i in range(60))
    )
    made, _ = run(serve, honest, *CANDIDATE_BETTER, human_labels=str(path))
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


def test_people_who_disagree_stop_it(serve, tmp_path):
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": f"s{i}", "winner": "incumbent"}) + "\n" for i in range(60)))
    made, _ = run(serve, honest, ["good"] * 200, ["bad"] * 200, human_labels=str(labels))
    assert made.comparison.verdict != "promote"
