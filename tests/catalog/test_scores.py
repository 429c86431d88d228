import pytest
from click.testing import CliRunner

from freehold.catalog import scores
from freehold.cli.main import cli


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


def test_tables_of_2025_and_later_say_their_month_and_cover_what_readers_ask_for():
    recent = [row for row in scores.rows() if row.published and row.published >= scores.RECENT]
    assert {"GPQA Diamond", "MMLU-Pro", "SWE-bench Verified", "BFCL-V4"} <= {row.task for row in recent}
    assert all(0 <= row.score <= 100 and row.metric == "%" for row in recent)
    assert len({(row.task, row.model, row.source) for row in recent}) == len(recent), (
        "no score twice in one table"
    )
    board = [row for row in recent if row.setting == "mini-SWE-agent, one attempt"]
    assert {row.kind for row in board} == {"open", "proprietary"}
