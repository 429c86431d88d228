"""What the rented model costs, and when it ends."""

import json
from datetime import UTC, datetime, timedelta

import pytest


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
