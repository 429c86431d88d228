import pytest
from tests.hardware.small_shapes import shape

from freehold.catalog import models
from freehold.hardware.fit import fit
from freehold.hardware.memory import ServingLoad
from freehold.hardware.quantization import weights_bytes
from freehold.types.machine import Accelerator, Machine, Workload

GIB = 1 << 30


def machine(memory):
    return Machine(
        name="card", cores=8, memory_bytes=memory, available_memory_bytes=memory, cpu="test", how={}
    )


def test_fit_adds_up_and_finds_the_largest_context():
    model = shape(context_tokens=131072)

    def asked(tokens, room):
        return fit(
            "m",
            model,
            ServingLoad("F16", 100 << 20, "test", prompt_cache_bytes=0),
            Workload(context_tokens=tokens),
            machine=machine(room),
        )

    found = asked(4096, 512 << 20)
    assert sum(part.bytes for part in found.parts) == found.total_bytes
    assert found.fits
    assert found.headroom_bytes == (512 << 20) - found.total_bytes
    largest = found.largest_context_tokens
    assert asked(largest, 512 << 20).fits
    assert not asked(largest + 256, 512 << 20).fits
    tight = asked(4096, 64 << 20)
    assert not tight.fits
    assert tight.headroom_bytes < 0
    assert tight.largest_context_tokens is None
    assert any("largest part: weights" in reason for reason in tight.reasons)


def test_more_context_than_the_model_was_made_for_does_not_fit():
    found = fit(
        "m",
        models.get("SmolLM2-135M-Instruct").shape,
        ServingLoad(quantization="Q4_1", weights_bytes=1, weights_basis="test"),
        Workload(context_tokens=10_000),
        machine=machine(64 * GIB),
    )
    assert not found.fits
    assert any("8,192" in reason for reason in found.reasons)


def test_gemma_3_27b_at_32k_on_a_24_gb_card():
    """A sum over full attention would say 15.5 GiB of cache and refuse a model that runs."""
    model = models.get("google/gemma-3-27b-it")
    found = fit(
        model.id,
        model.shape,
        ServingLoad(
            quantization="Q4_K_M", weights_bytes=weights_bytes(model.shape, "Q4_K_M"), weights_basis="test"
        ),
        Workload(context_tokens=32768),
        machine=Machine(
            name="card",
            cores=8,
            memory_bytes=64 * GIB,
            available_memory_bytes=64 * GIB,
            cpu="test",
            accelerators=(Accelerator(kind="nvidia", name="24 GB", memory_bytes=24 * GIB),),
        ),
    )
    parts = {part.name: part.bytes / GIB for part in found.parts}
    assert parts["kv_cache"] == pytest.approx(2.91, abs=0.01)
    assert parts["kv_margin"] < 0.25
    assert found.fits
