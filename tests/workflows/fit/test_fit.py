"""Whether a model fits, to serve and to train; encoders as well."""

import msgspec
import pytest
from tests.engines.encoder.tiny import tiny_encoder

from freehold.catalog import models as catalog
from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Machine, MeasuredSpeed, Speed, Workload
from freehold.workflows.fit.encoder import fit_of_base
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.training import FAST_BF16, SampleLengths, training_fit, value_bytes


def test_what_does_not_fit_says_what_would(settings):
    found = fit_model(
        "Qwen/Qwen3-32B",
        workload=Workload(context_tokens=8192),
        machine=find_machine("RTX 4090", settings),
        settings=settings,
        options=ServingOptions("Q8_0"),
    )
    assert not found.fits
    smaller, *others = found.ways_out
    assert smaller.startswith(("Q4_K_M needs", "Q5_K_M needs"))
    assert any("2 × RTX 4090 24GB hold it, each some of the layers" in way for way in others)
    layers = next(way for way in others if "layers fit on the accelerator" in way)
    assert 30 < int(layers.split()[0]) < 64
    assert found.speed is None


def test_speed_follows_bytes_and_batch(settings):
    box = find_machine("RTX 4090", settings)

    def speed(quantization, concurrency):
        return fit_model(
            "Qwen/Qwen3-8B",
            workload=Workload(concurrency=concurrency),
            machine=box,
            settings=settings,
            options=ServingOptions(quantization),
        ).speed

    one, four_bit, many = speed("Q8_0", 1), speed("Q4_K_M", 1), speed("Q4_K_M", 8)
    assert four_bit.decode_tokens_per_second[0] > 1.5 * one.decode_tokens_per_second[0]
    assert many.decode_all_tokens_per_second[0] > 3 * four_bit.decode_all_tokens_per_second[0]
    assert one.how == "estimated"
    # 1,008 GB/s over 8.2e9 weights at a byte each and a little: 55 to 105 tokens a second
    low, high = one.decode_tokens_per_second
    assert 40 < low < high < 125


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


def test_kept_prompts_are_counted_as_the_engine_bounds_them(tiny, settings):
    from freehold.engines.llamacpp.options import LlamaOptions

    found = fit_model(str(tiny), workload=Workload(), settings=settings)
    parts = {part.name: part.bytes for part in found.parts}
    assert parts["prompt_cache"] == LlamaOptions().prompt_cache_mib << 20
    without = fit_model(
        str(tiny), workload=Workload(), settings=settings, options=ServingOptions(prompt_cache_bytes=0)
    )
    assert "prompt_cache" not in {part.name for part in without.parts}


def _speed(quantization, rate):
    return MeasuredSpeed(
        id=str(rate), model="tiny.gguf", engine="llamacpp", weights_sha256=None, machine="here",
        prompt_tokens=512, completion_tokens=64, quantization=quantization,
        speed=Speed(
            prefill_tokens_per_second=(rate, rate), decode_tokens_per_second=(rate, rate),
            decode_all_tokens_per_second=(rate, rate), concurrency=1, how="measured", basis="test",
        ),
    )  # fmt: skip


def test_a_measured_speed_takes_the_estimates_place_for_its_own_weights(tiny, settings):
    machine = msgspec.structs.replace(find_machine("64GB", settings), name="here")

    def fitted(*speeds):
        return fit_model(
            str(tiny),
            workload=Workload(context_tokens=128),
            settings=settings,
            machine=machine,
            speeds=speeds,
        )

    plain, timed = fitted(), fitted(_speed("Q8_0", 5.0), _speed("Q8_0", 7.0), _speed("Q4_0", 9.0))
    assert timed.speed.decode_tokens_per_second == (7.0, 7.0)
    assert timed.speed.how == "measured"
    assert timed.id != plain.id
    assert fitted(_speed("Q4_0", 9.0)) == plain


def test_training_fits_and_names_its_parts(settings):
    found = training_fit(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        config=FinetuneConfig(),
        lengths=SampleLengths(128),
        settings=settings,
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


MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MACHINE = Machine(name="m", cores=2, memory_bytes=1 << 34, available_memory_bytes=1 << 33, cpu="x")
SHORT = Workload(context_tokens=128)


def mib(fit):
    return fit.total_bytes / 2**20


def test_a_base_is_counted_as_it_is_served_without_a_cache():
    """217 MiB were resident with its 22.7 million weights after 32 messages at once."""
    fit = fit_model(MINILM, workload=SHORT, machine=MACHINE, settings=load())
    assert {part.name for part in fit.parts} == {"weights", "tokenizer", "compute", "process"}
    assert fit.fits and fit.engine == "encoder" and fit.quantization == "F32"
    assert 217 <= mib(fit) <= 1.25 * 217
    assert fit.largest_context_tokens is None and fit.speed is None


def test_a_context_that_it_does_not_read_is_no_reason_against_it():
    long = fit_model(MINILM, workload=Workload(), machine=MACHINE, settings=load())
    most = fit_of_base(catalog.get(MINILM), Workload(context_tokens=512), machine=MACHINE)
    assert long.fits and long.total_bytes == most.total_bytes, "it reads 512 tokens of a message"
    assert any("512" in part.basis for part in long.parts)


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_trained_one_is_counted_by_its_files(tmp_path, prefix):
    folder = tiny_encoder(tmp_path / "given")
    fit = fit_model(f"{prefix}{folder}", workload=SHORT, machine=MACHINE, settings=load())
    sizes = {part.name: part.bytes for part in fit.parts}
    assert sizes["weights"] == sum(
        (folder / name).stat().st_size for name in ("model.onnx", "heads.safetensors")
    )
    assert fit.model == "given" and fit.fits
