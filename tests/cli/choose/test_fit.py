"""Which models there are for a machine, whether they fit, in which quantization."""

import json


def test_what_fits_is_exit_code_0(freehold):
    ran = freehold("fit", "google/gemma-3-270m", "--machine", "L4", "--json")
    assert ran.code == 0
    found = ran.json
    assert found["fits"]
    assert sum(part["bytes"] for part in found["parts"]) == found["total_bytes"]


def test_what_does_not_fit_is_exit_code_1_with_ways_out(freehold):
    ran = freehold("fit", "Qwen/Qwen3-32B", "--machine", "L4", "--quant", "F16")
    assert ran.code == 1
    assert "\ndoes not fit\n" in ran.out
    assert "\n  → " in ran.out


def test_training_is_another_sum(freehold):
    found = freehold("fit", "google/gemma-3-270m", "--train", "lora", "--machine", "L4", "--json").json
    assert found["training"]
    assert {"optimizer", "activations"} <= {part["name"] for part in found["parts"]}


def test_mistakes(refused):
    refused("fit", "org/gone", message="neither in the catalog nor here", hint="catalog sync org/gone")
    refused(
        "fit",
        "google/gemma-3-270m",
        "--train",
        "lora",
        "--engine",
        "vllm",
        message="--engine, --adapter and --draft",
    )


def test_a_model_that_ships_in_four_bits_runs_on_one_card(freehold):
    ran = freehold("fit", "openai/gpt-oss-120b", "--engine", "vllm", "--machine", "H100", "--json")
    assert ran.code == 0, ran
    found = ran.json
    assert (found["quantization"], found["fits"]) == ("MXFP4", True)
    assert any("H100 is taken for H100 SXM 80GB" in reason for reason in found["reasons"])


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
    (project / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in requests))
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


MODEL = "Qwen/Qwen3-8B"


def test_a_model_has_its_rank_and_its_memory(freehold):
    found = freehold("assess", MODEL, "--machine", "L4", "--json").json
    assert [(row["model"], row["outcome"]) for row in found["rows"]] == [(MODEL, "shortlisted")]
    assert found["machine"] == "L4"
    shown = freehold("assess", MODEL, "--machine", "L4")
    assert shown.code == 0
    assert f"  1 {MODEL}" in shown.out
    assert f'[[candidates]]\nmodel = "{MODEL}"' in shown.out


def test_the_shortlist_is_short_and_each_row_has_its_reason(freehold):
    shown = freehold("assess", "--machine", "L4", "--task", "text")
    ranks = [line for line in shown.out.splitlines() if line[:3].strip().isdigit()]
    assert len(ranks) == 7 and "task: free text, as stated" in shown.out
    assert shown.out.count("in vLLM") == 7 and "more on the shortlist" in shown.err
    everything = freehold("assess", "--machine", "L4", "--task", "text", "--all").out
    assert len([line for line in everything.splitlines() if line[:3].strip().isdigit()]) > 20
    assert "memory: needs" in everything


def test_mistakes_assess(refused, freehold):
    refused(
        "assess",
        "--machine",
        "Qfoo",
        message="accelerator Qfoo is not in the catalog",
        hint="--machine FILE.toml",
    )
    refused("assess", "--write", "1", message="freehold.toml: no such file", hint="freehold init")
    assert "'x' is not a number" in freehold("assess", "--usd-per-hour", "x").err


def test_each_quantization_has_its_bytes_and_one_is_taken(freehold):
    found = freehold("quants", "google/gemma-3-270m", "--machine", "L4", "--json").json
    names = [row["quantization"] for row in found["rows"]]
    assert {"Q4_K_M", "Q8_0"} <= set(names)
    assert found["take"] in names
    shown = freehold("quants", "google/gemma-3-270m", "--machine", "L4").out
    assert f"\ntake {found['take']}\n" in shown
    assert f"\n→ {found['take']} " in shown
