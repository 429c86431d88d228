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
        "fit", "google/gemma-3-270m", "--train", "lora", "--engine", "vllm", message="--engine and --adapter"
    )


def test_a_broken_project_is_told_and_is_no_obstacle(freehold, tmp_path):
    (tmp_path / "freehold.toml").write_text("[ap]\n")
    ran = freehold("fit", "google/gemma-3-270m")
    assert "measured speeds are left out" in ran.err
    assert "available" in ran.out
