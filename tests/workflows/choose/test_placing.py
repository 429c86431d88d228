import pytest

from freehold.catalog import models
from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.choose.placing import is_gpu_server, place, trained
from freehold.workflows.fit.machine import find_machine

WORK = Workload(context_tokens=8192, concurrency=2)


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    return load()


@pytest.mark.parametrize(
    ("machine", "model", "form", "engine"),
    [
        ("2x H100 SXM", "Qwen/Qwen3.6-27B", "FP8", "vllm"),
        ("H100 SXM", "openai/gpt-oss-120b", "MXFP4", "vllm"),
        ("L4", "Qwen/Qwen3.6-27B", "AWQ", "vllm"),
        ("T4", "Qwen/Qwen3-8B", "AWQ", "vllm"),
        ("A100 80GB", "Qwen/Qwen3-8B", "BF16", "vllm"),
        ("RTX 4090", "Qwen/Qwen3-8B", "Q8_0", "llamacpp"),
        ("Apple M4 Max 128GB", "Qwen/Qwen3-8B", "Q8_0", "llamacpp"),
    ],
)
def test_a_model_is_judged_in_the_form_one_runs(settings, machine, model, form, engine):
    found = place(models.get(model), WORK, find_machine(machine, settings), "wheel", settings)
    assert (found.quantization, found.engine, found.fit.headroom_bytes >= 0) == (form, engine, True)


def test_what_does_not_fit_has_no_speed(settings):
    for machine in ("RTX 4090", "L4"):
        found = place(
            models.get("moonshotai/Kimi-K2.5"), WORK, find_machine(machine, settings), "wheel", settings
        )
        assert found.fit.headroom_bytes < 0 and found.speed is None


def test_a_gaming_card_and_a_mac_are_no_gpu_servers(settings):
    servers = {
        name: is_gpu_server(find_machine(name, settings)) for name in ("L4", "RTX 4090", "Apple M4 Max 128GB")
    }
    assert servers == {"L4": True, "RTX 4090": False, "Apple M4 Max 128GB": False}
    assert not is_gpu_server(find_machine("64GB", settings))


def test_what_can_be_trained_on_a_machine(settings):
    card = find_machine("L4", settings)
    assert trained(models.get("Qwen/Qwen3-1.7B"), 512, card, settings).method == "lora"
    small = trained(models.get("Qwen/Qwen3-14B"), 512, card, settings)
    assert small.method == "qlora" and small.fit.fits
    assert not trained(models.get("google/gemma-4-31B-it"), 512, card, settings).fit.fits
