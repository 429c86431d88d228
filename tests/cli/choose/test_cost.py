"""What the rented model costs, and when it ends."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

MODEL = "Qwen/Qwen3-0.6B"


def test_what_the_rented_model_costs_is_one_sentence(tmp_path, freehold):
    """In init, status, cost and assess; an import keeps records that are alike once, and so does init."""
    pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
    rows = [
        {
            "timestamp": (datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number % 90)).isoformat(),
            "request": {
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": f"message {number % 90}"}],
            },
            "response": {
                "choices": [{"message": {"role": "assistant", "content": ("yes", "no")[number % 2]}}]
            },
        }
        for number in range(96)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = freehold("init", "log.jsonl", "--json").json["rented"]
    assert re.fullmatch(
        r"gpt-4o is shut down on .* gpt-4o costs \$[\d.,]+ a month for this traffic.*\.", told
    )
    freehold("import", "log.jsonl")
    assert freehold("status", "--json").json["rented"] == told
    costed = freehold("cost", MODEL, "--machine", "l4", "--json").json
    assert costed["sentence"].startswith(told)
    assert freehold("assess", MODEL, "--machine", "l4", "--json").json["money"].startswith(told)
    short = " ".join(freehold("cost", MODEL, "--machine", "A30").out.split())
    assert short == told, "where the machine has no price"


@pytest.mark.parametrize(
    ("model", "machine"), [("Qwen/Qwen3-8B", "L4"), ("google/gemma-3-27b-it", "RTX 4090")]
)
def test_fit_assess_and_cost_take_one_engine_and_quantization_and_name_them(
    freehold, tmp_path, model, machine
):
    pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
    start, rows = datetime(2026, 11, 1, tzinfo=UTC), []
    for number in range(48):
        usage = {"prompt_tokens": 800, "completion_tokens": 120}
        rows.append(
            {
                "timestamp": (start + timedelta(hours=number)).isoformat(),
                "request": {
                    "model": "gpt-4o",
                    "messages": [{"role": "user", "content": f"message {number}"}],
                },
                "response": {
                    "choices": [{"message": {"role": "assistant", "content": "yes"}}],
                    "usage": usage,
                },
            }
        )
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
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
