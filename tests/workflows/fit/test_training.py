import msgspec
import pytest

from freehold.errors import UsageError
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Workload
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.placing import FAST_BF16, SampleLengths, training_fit, value_bytes


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
