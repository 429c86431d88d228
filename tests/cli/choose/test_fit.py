"""Which models there are for a machine, whether they fit, and what is known of them."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from tests.cli.conftest import pair, write_lines

from freehold.catalog import models, synced
from freehold.catalog.synced import SyncedModel
from freehold.cli import catalog


def test_what_does_not_fit_is_exit_code_1_with_ways_out(freehold):
    ran = freehold("fit", "Qwen/Qwen3-32B", "--machine", "L4", "--quant", "F16")
    assert ran.code == 1
    assert "\ndoes not fit\n" in ran.out
    assert "\n  → " in ran.out


FORCED = {
    "messages": [
        {"role": "user", "content": "Where is my order?"},
        {"role": "assistant", "content": "There."},
    ],
    "tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}],
    "tool_choice": "required",
}


def test_a_model_that_cannot_write_the_calls_this_project_demands_is_told(freehold, project):
    without = freehold("fit", "deepseek-ai/DeepSeek-R1", "--json").json
    requests = [FORCED, {**FORCED, "tool_choice": "auto"}]
    write_lines(project / "log.jsonl", requests)
    assert freehold("import", "log.jsonl").code == 0
    ran = freehold("fit", "deepseek-ai/DeepSeek-R1", "--json").json
    assert not [one for one in without["reasons"] if "demand a tool call" in one]
    (why,) = [one for one in ran["reasons"] if "demand a tool call" in one]
    assert why.count("1 of 2 requests demand a tool call") == 1 and "knows no tools" in why
    assert ran["id"] != without["id"]
    assert "demand a tool call" not in freehold("fit", "Qwen/Qwen3-8B").out
    assert "demand a tool call" not in freehold("fit", "deepseek-ai/DeepSeek-R1", "--engine", "vllm").out
    assert "tools: its chat template renders none, and 1 requests demand a call" in freehold(
        "assess", "deepseek-ai/DeepSeek-R1", "--machine", "8x H200"
    ).out.replace("\n", " ")


def test_the_shortlist_is_short_and_each_row_has_its_reason(freehold):
    shown = freehold("assess", "--machine", "L4", "--task", "text")
    ranks = [line for line in shown.out.splitlines() if line[:3].strip().isdigit()]
    assert len(ranks) == 7 and "task: free text, as stated" in shown.out
    assert shown.out.count("in vLLM") == 7 and "more on the shortlist" in shown.err
    everything = freehold("assess", "--machine", "L4", "--task", "text", "--all").out
    assert len([line for line in everything.splitlines() if line[:3].strip().isdigit()]) > 20
    assert "memory: needs" in everything


GEMMA = "google/gemma-3-270m"


@pytest.fixture
def later(monkeypatch):
    """The clock 200 days after the newest row of the model catalog was read."""
    day = models.read_on() + timedelta(days=200)
    monkeypatch.setattr(catalog, "now", lambda: datetime(day.year, day.month, day.day, tzinfo=UTC))
    return day


def test_a_stale_fact_says_so_where_it_is_used(freehold, later):
    checked = models.get(GEMMA).checked
    said = f"stale: checked {(later - checked).days} days ago, on {checked}"
    assert said in freehold("catalog", "list", GEMMA).out
    assert said in freehold("catalog", "list", "gemma-3-270").out


def test_a_record_of_ones_own_that_a_shipped_row_overrules_is_said(freehold, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    shape = msgspec.structs.replace(models.get(GEMMA).shape, ffn=4096)
    record = SyncedModel(
        id=GEMMA, commit="c1", publisher="Google", license="apache-2.0", gated=False, source="https://hub/gemma",
        fetched=date(2026, 11, 1), shape=shape,
    )  # fmt: skip
    synced.keep(tmp_path / "home", record)
    ffn = models.get(GEMMA).shape.ffn
    said = f"is not used, the shipped row is: it says ffn 4096, not {ffn}, licence apache-2.0"
    for command in (("catalog", "list", GEMMA), ("catalog", "list")):
        assert said in freehold(*command).out.replace("\n    ", " "), command
    assert f"ffn 4096, not {ffn}" in freehold("fit", GEMMA).out


@pytest.mark.parametrize(
    ("model", "machine"), [("Qwen/Qwen3-8B", "L4"), ("google/gemma-3-27b-it", "RTX 4090")]
)
def test_fit_assess_and_cost_take_one_engine_and_quantization_and_name_them(
    freehold, tmp_path, model, machine
):
    pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
    start = datetime(2026, 11, 1, tzinfo=UTC)
    rows = [pair(f"message {n}", "yes", timestamp=str(start + timedelta(hours=n))) for n in range(48)]
    for row in rows:
        row["response"]["usage"] = {"prompt_tokens": 800, "completion_tokens": 120}
    write_lines(tmp_path / "log.jsonl", rows)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\n')
    freehold("import", "log.jsonl")
    assessed = freehold("assess", model, "--machine", machine, "--json").json
    (row,) = assessed["rows"]
    tokens = assessed["workload"]["context_tokens"]
    fit = freehold("fit", model, "--machine", machine, "--context", tokens, "--json").json
    assert (fit["engine"], fit["quantization"]) == (row["engine"], row["quantization"])
    assert fit["total_bytes"] == row["total_bytes"]
    held = freehold("cost", model, "--machine", machine, "--json").json["self_host"]
    form = f"{row['quantization']} in {'vLLM' if row['engine'] == 'vllm' else 'llama.cpp'}"
    assert held["served_as"] == form and f"as {form} on" in assessed["money"]
    assert f" as {form} on " in freehold("fit", model, "--machine", machine).out.splitlines()[0]
    assert [held["usd_per_month"][end] for end in ("low", "high")] == row["usd_per_month"]
