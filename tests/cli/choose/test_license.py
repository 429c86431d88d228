import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from freehold.cli.license import license as command


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def go(*args, **options):
        return CliRunner().invoke(command, list(args), **options)

    return go


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("Qwen/Qwen2.5-7B", "--set", "mode=internal"), 0),
        (("apple/FastVLM-7B", "--set", "commercial=true"), 1),
        (("Qwen/Qwen2.5-3B", "--set", "commercial=true"), 1),
        (("someone/unheard-of",), 3),
        ((), 2),
        (("lineage.json",), 0),
        (("none.json",), "cannot be read"),
    ],
)
def test_exit_codes(run, tmp_path, args, code):
    base = {"kind": "base", "model": "Qwen/Qwen2.5-7B"}
    (tmp_path / "lineage.json").write_text(json.dumps({"model": "ours", "edges": [base]}))
    result = run(*args)
    assert result.exit_code == code or str(code) in str(result.exception)


def test_a_name_nobody_gave_a_model_names_those_that_may_be_meant(run):
    assert "did you mean Qwen/Qwen2.5-7B-Instruct?" in run("Qwen 2.5 7B").stderr
    assert "did you mean" not in run("gpt-4o").stderr


def test_a_licence_looked_up_long_ago_says_so(run, monkeypatch):
    from freehold.cli import license as module

    assert "stale" not in run("google/gemma-3-270m", "--set", "mode=internal").stderr
    monkeypatch.setattr(module, "now", lambda: datetime(2027, 7, 1, tzinfo=UTC))
    said = run("google/gemma-3-270m", "--set", "mode=internal").stderr
    assert said.startswith("stale: checked 21") and "compare the licence of google/gemma-3-270m" in said


def test_init_asks_and_stores(run, tmp_path):
    result = run("init", input="hosted_service\ntrue\nDE\n\n\n\n\n\n\n\n\n\n")
    assert result.exit_code == 0, result.output
    assert 'seat = "DE"' in (tmp_path / "freehold.toml").read_text()
    assert run("meta-llama/Llama-4-Scout-17B-16E").exit_code == 1


def test_comply_writes_the_files(run, tmp_path):
    assert (
        run("comply", "google/gemma-2-9b", "--set", "mode=distribute_weights", "--out", "legal").exit_code
        == 0
    )
    again = run("comply", "google/gemma-2-9b", "--set", "mode=distribute_weights", "--out", "legal", "--json")
    assert "legal/NOTICE" in json.loads(again.stdout)["files"]
    assert "Gemma is provided under" in (tmp_path / "legal" / "NOTICE").read_text()
    assert (tmp_path / "legal" / "USE_RESTRICTIONS.md").exists()


def test_a_case_that_cannot_be_read_is_unclear_and_the_others_are_answered(run, tmp_path):
    good = {"id": "a", "lineage": [{"role": "base", "model": "xai-org/grok-1"}], "use": {"mode": "internal"}}
    bad = [
        {**good, "id": "b", "use": {"mode": "sideways"}},
        {**good, "id": "c", "lineage": [{"role": "uncle", "model": "m"}]},
        {**good, "id": "d", "use": {"mau_product": "many"}},
    ]
    odd = {
        **good,
        "id": "e",
        "use": {"mode": "internal", "served_regions": "US", "litigation": False, "dau": 5.0},
    }
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [*bad, good, odd]}))
    result = run("--cases", "cases.json", "--json")
    verdicts = {answer["id"]: answer["verdict"] for answer in map(json.loads, result.stdout.splitlines())}
    assert verdicts == {"b": "unclear", "c": "unclear", "d": "unclear", "a": "allowed", "e": "allowed"}
    assert result.exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_file_without_end_is_not_read_to_its_end(refused):
    refused("license", "identify", "/dev/full", message="more than 1,000,000 characters: not a licence")


def test_a_date_has_its_source(freehold):
    found = freehold("retirements", "gpt-4o", "--platform", "openai", "--as-of", "2026-01-01", "--json").items
    (notice,) = found
    days = (date.fromisoformat(notice["shutdown"]) - date(2026, 1, 1)).days
    assert (notice["asked_as"], notice["days_left"]) == ("gpt-4o", days)
    assert notice["source"]
    shown = freehold("retirements", "gpt-4o", "--platform", "openai", "--as-of", "2026-01-01").out
    assert f"{notice['shutdown']}  in {days} days" in shown


def test_the_projects_incumbent_is_looked_up_without_a_name(freehold, project):
    found = freehold("retirements", "--as-of", "2026-01-01", "--json").items
    assert {notice["asked_as"] for notice in found} <= {"gpt-4o", None}
    assert found


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("gpt-4o --as-of 2026-01-01 --fail-within 90", 0),
        ("gpt-4o --as-of 2027-01-10 --fail-within 90", 1),
        *(
            (f"{model} --as-of 2026-11-27{within}", bool(within))
            for model in ("text-davinci-003", "claude-2.1", "grok-beta", "groq/llama3-70b-8192")
            for within in ("", " --fail-within 0")
        ),
        ("claude-opus-4-5 --as-of 2026-11-27 --fail-within 30", 0),
        ("azure/claude-opus-4-5 --as-of 2026-11-27 --fail-within 30", 1),
        ("claude-opus-4-5 --platform azure --as-of 2026-11-27 --fail-within 30", 1),
    ],
)
def test_what_is_gone_or_near_its_end_where_it_is_used_fails_a_build(freehold, words, code):
    assert freehold("retirements", *words.split()).code == code


def test_a_model_without_a_day_says_what_is_known(freehold):
    shown = freehold("retirements", "command-r").out
    assert "no day" in shown
    assert "command-r, deprecated → command-r-08-2024" in shown
    (notice,) = freehold("retirements", "grok-beta", "--json").items
    assert (notice["status"], notice["shutdown"], notice["days_left"]) == ("gone", None, None)
