"""Where a model runs, how fast, and how many at once."""

from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from freehold.catalog import models
from freehold.costs import traffic
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.choosing import ModelLimits, Needs
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Speed, Workload
from freehold.workflows.choose.cost import MachineSpeeds, answer_seconds, written_by
from freehold.workflows.choose.needs import is_doubtful, speed_reasons
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.placing import (
    FAST_BF16,
    SampleLengths,
    form_of,
    other_form,
    place,
    trained,
    training_fit,
    value_bytes,
)
from freehold.workflows.fit.sizes import size_model

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
        (
            "RTX 4090",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "Q4_1",
            "llamacpp",
        ),  # what freehold models pull fetches
    ],
)
def test_a_model_is_judged_in_the_form_one_runs(settings, machine, model, form, engine):
    found = place(models.get(model), WORK, find_machine(machine, settings), "wheel", settings)
    assert (found.quantization, found.engine, found.fit.headroom_bytes >= 0) == (form, engine, True)


@pytest.mark.parametrize(
    ("machine", "model", "way"),
    [
        ("RTX 4090", "Qwen/Qwen3-8B", "freehold models pull hf:Qwen/Qwen3-8B-GGUF --quant Q8_0"),
        ("L4", "Qwen/Qwen3-8B", None),
        ("RTX 4090", "HuggingFaceTB/SmolLM2-135M-Instruct", None),
    ],
)
def test_what_is_fetched_in_another_form_than_fit_names_is_said(settings, machine, model, way):
    said = other_form(model, find_machine(machine, settings), settings)
    assert said is None if way is None else said.startswith("freehold fit names Q8_0 in llama.cpp")
    assert way is None or said.endswith(way)


def test_what_can_be_trained_on_a_machine(settings):
    card = find_machine("L4", settings)
    assert trained(models.get("Qwen/Qwen3-1.7B"), 512, card, settings).method == "lora"
    small = trained(models.get("Qwen/Qwen3-14B"), 512, card, settings)
    assert small.method == "qlora" and small.fit.fits
    assert not trained(models.get("google/gemma-4-31B-it"), 512, card, settings).fit.fits


SPEED = Speed(
    prefill_tokens_per_second=(100, 400), decode_tokens_per_second=(10, 40), decode_all_tokens_per_second=(10, 40),
    concurrency=1, how="estimated", basis="",
)  # fmt: skip
NEEDS = Needs(prompt_tokens=400, completion_tokens=40)


@pytest.mark.parametrize(
    ("limits", "hard", "doubtful"),
    [
        (ModelLimits(least_tokens_per_second=50), [True], True),
        (ModelLimits(least_tokens_per_second=30), [False], True),
        (ModelLimits(least_tokens_per_second=15), [False], False),
        (ModelLimits(least_tokens_per_second=9), [], False),
        (ModelLimits(most_seconds=1), [True], True),
        (ModelLimits(most_seconds=3), [False], True),
        (ModelLimits(most_seconds=5), [False], False),
        (ModelLimits(most_seconds=9), [], False),
        (ModelLimits(), [], False),
    ],
)
def test_only_what_is_too_slow_at_its_best_is_excluded(limits, hard, doubtful):
    assert [one for one, _ in speed_reasons(SPEED, NEEDS, limits)] == hard
    assert is_doubtful(SPEED, NEEDS, limits) == doubtful


def asked(prompt=800, completion=120, **more):
    return traffic.stated(
        requests_per_month=Decimal(10**6),
        prompt_tokens=Decimal(prompt),
        completion_tokens=Decimal(completion),
        **more,
    )


def speeds(settings, usage, machine="L4", model="Qwen/Qwen3-8B"):
    return MachineSpeeds(
        size_model(model, settings=settings),
        usage,
        find_machine(machine, settings),
        settings,
        "llamacpp",
    )


def test_the_batch_is_the_largest_that_fits_in_memory_and_time(settings):
    usage = asked()
    found = speeds(settings, usage)
    patient = found.within(10_000)
    assert patient.concurrency == found.most > 8
    assert patient.why == "the most that fit in its memory"
    hurried = found.within(6)
    assert 8 < hurried.concurrency < found.most
    assert hurried.why == "the most that are answered within 6 s each"
    assert answer_seconds(usage, hurried.speed) <= 6
    assert answer_seconds(usage, found.at(hurried.concurrency + 1)) > 6


def test_an_answer_takes_its_uncached_prompt_and_its_own_tokens(settings):
    found = speeds(settings, asked())
    speed = found.at(16)
    by_hand = 800 / speed.prefill_tokens_per_second[0] + 120 * 16 / speed.decode_all_tokens_per_second[0]
    assert answer_seconds(asked(), speed) == pytest.approx(by_hand)
    cached = written_by("m", asked(cached_prompt_tokens=Decimal(800), reasoning_tokens=Decimal(60)), None)
    assert answer_seconds(cached, speed) == pytest.approx(60 * 16 / speed.decode_all_tokens_per_second[0])


def test_what_lies_here_is_judged_as_it_is_and_a_release_is_what_it_names(settings, monkeypatch):
    here = SimpleNamespace(weights=SimpleNamespace(format="gguf", quantization="Q5_K_M"))
    monkeypatch.setattr(
        WeightsStore, "find", lambda self, model, form=None: here if "Qwen3-8B" in model else None
    )
    machine = find_machine("L4", settings)
    assert form_of("Qwen/Qwen3-8B", WORK, machine, settings) == ("llamacpp", "Q5_K_M")
    assert form_of("Qwen/Qwen3-4B", WORK, machine, settings) == ("vllm", "FP8")
    assert form_of("Qwen/Qwen3-235B-A22B-FP8", WORK, machine, settings) == ("vllm", None)
    assert form_of("Qwen/Qwen3-4B", WORK, machine, settings, (None, "Q4_K_M")) == ("llamacpp", "Q4_K_M")


def test_training_that_does_not_fit_says_what_would(settings):
    found = training_fit(
        "Qwen/Qwen3-4B",
        config=FinetuneConfig(method="qlora"),
        lengths=SampleLengths(2048),
        settings=settings,
        machine=find_machine("L4", settings),
    )
    assert not found.fits
    assert any("2,048 tokens at once" in way for way in found.ways_out)
    assert found.largest_context_tokens is not None


def test_a_gguf_is_not_quantized_a_second_time(settings, tmp_path):
    from benchmarks import tiny_models

    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    with pytest.raises(UsageError, match="quantized already"):
        training_fit(str(path), config=FinetuneConfig(method="qlora"), settings=settings)


def test_numbers_are_halved_where_the_machine_multiplies_them_fast(settings):
    plain, gpu = find_machine("64GB", settings), find_machine("L4", settings)
    fast = msgspec.structs.replace(plain, isa=FAST_BF16[:1])
    assert [value_bytes(machine) for machine in (plain, gpu, fast)] == [4, 2, 2]
