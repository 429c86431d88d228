import json

import pytest


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


def test_it_fits_80_columns(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, freehold("fit", "Qwen/Qwen3-32B", "--machine", "L4").out.splitlines())) <= 80


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


def test_a_broken_project_is_told_and_is_no_obstacle(freehold, tmp_path):
    (tmp_path / "freehold.toml").write_text("[ap]\n")
    ran = freehold("fit", "google/gemma-3-270m")
    assert "measured speeds are left out" in ran.err
    assert "available" in ran.out


def test_a_model_that_ships_in_four_bits_runs_on_one_card(freehold):
    ran = freehold("fit", "openai/gpt-oss-120b", "--engine", "vllm", "--machine", "H100", "--json")
    assert ran.code == 0, ran
    found = ran.json
    assert (found["quantization"], found["fits"]) == ("MXFP4", True)
    assert any("H100 is taken for H100 SXM 80GB" in reason for reason in found["reasons"])


def test_a_draft_is_an_option(freehold):
    ran = freehold("fit", "Qwen/Qwen3-8B", "--draft", "Qwen/Qwen3-0.6B", "--machine", "g6.xlarge")
    assert ran.code == 0, ran
    assert "draft_cache" in ran.out


@pytest.mark.parametrize(
    ("engine", "kv_type", "hint"),
    [("vllm", "q8_0", "known: auto, f16, bf16, fp8"), ("llamacpp", "fp8", "known: f32, f16, bf16, q8_0")],
)
def test_a_cache_type_of_the_other_engine_lists_those_of_this_one(refused, engine, kv_type, hint):
    arguments = ("fit", "Qwen/Qwen3-8B", "--machine", "L4", "--engine", engine, "--kv-type", kv_type)
    refused(*arguments, message="not known", hint=hint)


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
