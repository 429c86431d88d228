"""vLLM's memory against reports that users of it published."""

import pytest

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware import fit as fitting
from freehold.hardware.memory import ServingLoad
from freehold.hardware.vllm_memory import (
    LIBRARY_BYTES,
    activation_bytes,
    kv_bytes,
    vllm_parts,
    weights_bytes,
)
from freehold.types.machine import Accelerator, Machine, Workload

GIB = 1 << 30
LLAMA = models.get("meta-llama/Llama-3.1-8B-Instruct").shape


def test_a_reported_start_on_an_80_gb_card_is_met():
    """Llama 8B in 16 bits, 2026-10-06: 79.25 GiB × 0.92; 15.26 GiB weights and libraries, 1.44 GiB peak activation,
    a cache of 460,496 tokens."""
    weights = weights_bytes(LLAMA, "BF16")
    assert (weights + LIBRARY_BYTES) / GIB == pytest.approx(15.26, rel=0.01)
    assert activation_bytes(LLAMA) / GIB == pytest.approx(1.44, rel=0.15)
    room = 0.92 * 79.25 * GIB - weights - LIBRARY_BYTES - activation_bytes(LLAMA)
    per_token = kv_bytes(LLAMA, Workload(context_tokens=4096)) / 4096
    assert room / per_token == pytest.approx(460_496, rel=0.01)


def test_an_earlier_report_is_met():
    """Llama 3 8B, vLLM of 2024-12 (pull request 10511): weights 14.96 GiB, peak activation 1.26 GiB."""
    assert weights_bytes(LLAMA, "BF16") / GIB == pytest.approx(14.96, rel=0.005)
    assert activation_bytes(LLAMA) / GIB == pytest.approx(1.26, rel=0.15)


def test_windows_hold_the_window_and_one_step():
    gemma = models.get("google/gemma-3-27b-it").shape
    short = kv_bytes(gemma, Workload(context_tokens=8192))
    long = kv_bytes(gemma, Workload(context_tokens=131_072))
    full = gemma.attention.count("full") * gemma.kv_heads * 2 * gemma.head_dim * 2
    assert long - short < 1.3 * full * (131_072 - 8192)


def test_latent_layers_hold_one_vector_a_token():
    deepseek = models.get("deepseek-ai/DeepSeek-V3").shape
    assert kv_bytes(deepseek, Workload(context_tokens=16)) == 16 * 61 * (512 + 64) * 2


def test_four_bits_leave_embeddings_alone():
    assert 0.3 < weights_bytes(LLAMA, "AWQ") / weights_bytes(LLAMA, "BF16") < 0.4
    with pytest.raises(UsageError, match="Q4_K_M is not one that vLLM"):
        weights_bytes(LLAMA, "Q4_K_M")
    with pytest.raises(UsageError, match="q8_0 is not known to vLLM"):
        kv_bytes(LLAMA, Workload(), "q8_0")


def test_it_takes_a_share_of_the_device_and_needs_one():
    device = Accelerator(kind="nvidia", name="A", memory_bytes=80 * GIB)
    bare = Machine(name="m", cores=4, memory_bytes=GIB, available_memory_bytes=GIB, cpu="c")
    box = Machine(
        name="m", cores=4, memory_bytes=GIB, available_memory_bytes=GIB, cpu="c", accelerators=(device,)
    )
    load = ServingLoad("BF16", weights_bytes(LLAMA, "BF16"), "", kv_type="auto", engine="vllm")
    found = fitting.fit("llama", LLAMA, load, Workload(), machine=box)
    assert found.available_bytes == round(0.92 * 80 * GIB)
    assert found.engine == "vllm"
    assert (
        sum(part.bytes for part in vllm_parts(LLAMA, load._replace(weights_bytes=1), Workload()))
        < found.total_bytes
    )
    with pytest.raises(UsageError, match="has none"):
        fitting.fit("llama", LLAMA, load, Workload(), machine=bare)
