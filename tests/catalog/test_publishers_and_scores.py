import json

import pytest
from click.testing import CliRunner

from freehold.catalog import models, publishers, scores
from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.workflows.choose.publishers import show


def test_every_family_has_its_publisher():
    owners = {owner.lower() for row in publishers.rows() for owner in row.owners}
    missing = {model.id for model in models.all_models() if model.id.split("/")[0].lower() not in owners}
    assert missing <= {"TinyLlama/TinyLlama-1.1B-Chat-v1.0"}


def test_licences_and_cadence_are_counted():
    (google,) = show("google")
    assert google.models >= 8
    assert google.first < google.latest
    assert google.licenses
    assert "Apache-2.0 from Gemma 4" in google.drift
    assert "pin the release" in google.reliance
    with pytest.raises(UsageError) as caught:
        show("Gogle")
    assert "Google" in caught.value.hint


def test_gaps_stay_within_one_source():
    for gap in scores.gaps():
        rows = [
            row
            for row in scores.rows()
            if (row.task, row.metric, row.source) == (gap.task, gap.metric, gap.source)
        ]
        by_kind = {
            kind: max(row.score for row in rows if row.kind == kind) for kind in ("open", "proprietary")
        }
        assert gap.open_score == by_kind["open"]
        assert gap.difference == pytest.approx(by_kind["open"] - by_kind["proprietary"], abs=1e-3)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        scores.gaps("Bankng77")
    assert "did you mean Banking77?" in caught.value.hint


def test_a_tuned_model_is_set_beside_the_same_setting_too():
    (gap,) = scores.gaps("bc5cdr")
    assert (gap.open_model, gap.open_score, gap.proprietary_model) == ("mistral-7b", 0.972, "gpt-4")
    assert (gap.like_model, gap.like_difference) == ("mistral-7b-instruct", pytest.approx(-0.187))
    shown = CliRunner().invoke(cli, ["gap", "bc5cdr"]).stdout
    assert "open +0.082" in shown


def test_lora_land_is_whole():
    rows = [row for row in scores.rows() if row.source.startswith("LoRA Land")]
    assert len(rows) == 31 * 22
    assert all(0 <= row.score <= 1 for row in rows)


def test_publishers_with_one_licence_are_not_said_to_differ():
    (openai,) = show("OpenAI")
    assert "one licence over all releases" in openai.reliance
    assert "Apache License 2.0" in CliRunner().invoke(cli, ["publishers", "OpenAI"]).stdout


@pytest.mark.parametrize("arguments", [["publishers"], ["gap"], ["gap", "Banking77"]])
def test_commands(arguments):
    text = CliRunner().invoke(cli, arguments)
    assert text.exit_code == 0
    assert text.stdout
    assert json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
