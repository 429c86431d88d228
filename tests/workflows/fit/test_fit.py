import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UnknownModelError, UsageError
from freehold.settings import load
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Workload
from freehold.workflows.fit.fit import fit_model, training_fit
from freehold.workflows.fit.machine import find_machine


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path)})


def test_catalog_model_without_weights(settings):
    found = fit_model("google/gemma-3-270m", workload=Workload(context_tokens=8192), settings=settings)
    parts = {part.name: part for part in found.parts}
    assert {"weights", "kv_cache", "compute", "engine"} <= set(parts)
    assert found.quantization == "Q4_K_M"
    assert found.total_bytes == sum(part.bytes for part in found.parts)
    again = fit_model("google/gemma-3-270m", workload=Workload(context_tokens=8192), settings=settings)
    assert again.parts == found.parts


def test_unknown_model_has_a_hint(settings):
    with pytest.raises(UnknownModelError) as caught:
        fit_model("google/gemma-3-271m", workload=Workload(), settings=settings)
    assert "google/gemma-3-270m" in caught.value.hint


def test_unknown_quantization_lists_those_known(settings):
    with pytest.raises(UsageError) as caught:
        fit_model("Gemma-3-270m-it", workload=Workload(), settings=settings, quantization="Q9_X")
    assert "Q4_K_M" in caught.value.hint


def test_command_prints_json_and_text(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    arguments = ["fit", "SmolLM2-135M-Instruct", "--context", "2048", "--concurrency", "2"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["fits"] is True
    assert record["workload"]["concurrency"] == 2
    text = CliRunner().invoke(cli, arguments)
    assert text.exit_code == 0
    assert "GiB" in text.stdout
    assert "kv_cache" in text.stdout


def test_command_exits_1_when_it_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    result = CliRunner().invoke(cli, ["fit", "SmolLM2-135M-Instruct", "--context", "99999"])
    assert result.exit_code == 1
    assert "does not fit" in result.stdout


def test_what_does_not_fit_says_what_would(settings):
    found = fit_model(
        "Qwen/Qwen3-32B",
        workload=Workload(context_tokens=8192),
        machine=find_machine("RTX 4090", settings),
        settings=settings,
        quantization="Q8_0",
    )
    assert not found.fits
    smaller, *others = found.ways_out
    assert smaller.startswith(("Q4_K_M needs", "Q5_K_M needs"))
    assert any("2 × RTX 4090 24GB hold it, tensor or pipeline parallel" in way for way in others)
    layers = next(way for way in others if "layers fit on the accelerator" in way)
    assert 30 < int(layers.split()[0]) < 64
    assert found.speed is None


def test_speed_is_not_guessed_for_a_machine_whose_rates_are_unknown(settings):
    found = fit_model(
        "Qwen/Qwen3-8B", workload=Workload(), machine=find_machine("64GB", settings), settings=settings
    )
    assert found.fits
    assert found.speed is None
    assert found.ways_out == ()


def test_speed_follows_bytes_and_batch(settings):
    box = find_machine("RTX 4090", settings)

    def speed(quantization, concurrency):
        return fit_model(
            "Qwen/Qwen3-8B",
            workload=Workload(concurrency=concurrency),
            machine=box,
            settings=settings,
            quantization=quantization,
        ).speed

    one, four_bit, many = speed("Q8_0", 1), speed("Q4_K_M", 1), speed("Q4_K_M", 8)
    assert four_bit.decode_tokens_per_second[0] > 1.5 * one.decode_tokens_per_second[0]
    assert many.decode_all_tokens_per_second[0] > 3 * four_bit.decode_all_tokens_per_second[0]
    assert one.how == "estimated"
    # 1,008 GB/s over 8.2e9 weights at a byte each and a little: 55 to 105 tokens a second
    low, high = one.decode_tokens_per_second
    assert 40 < low < high < 125


def test_training_fits_and_names_its_parts(settings):
    found = training_fit(
        "HuggingFaceTB/SmolLM2-135M-Instruct", config=FinetuneConfig(), sample_tokens=128, settings=settings
    )
    assert found.training == "lora"
    assert found.workload == Workload(context_tokens=128, concurrency=32)
    assert {"weights", "adapter", "gradients", "optimizer", "activations", "passing", "process"} <= {
        part.name for part in found.parts
    }
    assert found.total_bytes == sum(part.bytes for part in found.parts)
    assert found.fits


def test_training_that_does_not_fit_says_what_would(settings):
    found = training_fit(
        "Qwen/Qwen3-4B",
        config=FinetuneConfig(method="qlora"),
        sample_tokens=2048,
        settings=settings,
        machine=find_machine("L4", settings),
    )
    assert not found.fits
    assert any("pack_tokens = 2048" in way for way in found.ways_out)
    assert found.largest_context_tokens is not None


def test_full_training_of_what_is_too_large_names_lora(settings):
    found = training_fit(
        "Qwen/Qwen3-4B",
        config=FinetuneConfig(method="full", batch_size=1),
        sample_tokens=512,
        settings=settings,
        machine=find_machine("L4", settings),
    )
    assert not found.fits
    assert any("--train lora" in way for way in found.ways_out)


def test_a_gguf_is_not_quantized_a_second_time(settings, tmp_path):
    from benchmarks import tiny_models

    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    with pytest.raises(UsageError, match="quantized already"):
        training_fit(str(path), config=FinetuneConfig(method="qlora"), settings=settings)


def test_the_command_fits_training(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    arguments = ["fit", "SmolLM2-135M-Instruct", "--train", "lora", "--context", "64"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "trained (lora)" in result.stdout
    assert "longest sample" in result.stdout


def test_the_most_at_once_is_the_last_that_fits(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    machine = find_machine("RTX 4090", settings)

    def fitted(count):
        asked = Workload(context_tokens=32768, concurrency=count)
        return fit_model("google/gemma-3-27b-it", workload=asked, machine=machine, settings=settings)

    most = fitted(1).largest_concurrency
    assert fitted(most).fits
    assert not fitted(most + 1).fits
    assert fitted(64).largest_concurrency == most
