import pytest

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware.fit import fit
from freehold.hardware.memory import ServingLoad, kv_cache
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import repacked_bytes, weights_bytes
from freehold.types.machine import Accelerator, Machine, Workload
from freehold.types.model import Shape

GIB = 1 << 30


def shape(**changes):
    base = {
        "architecture": "llama",
        "layers": 4,
        "hidden": 256,
        "heads": 8,
        "kv_heads": 2,
        "head_dim": 32,
        "ffn": 512,
        "vocabulary": 1000,
        "context_tokens": 8192,
        "tied_embeddings": True,
        "attention": ("full",) * 4,
    }
    return Shape(**(base | changes))


def machine(memory):
    return Machine(
        name="card", cores=8, memory_bytes=memory, available_memory_bytes=memory, cpu="test", how={}
    )


def test_full_attention_keeps_every_token():
    cache = kv_cache(shape(), Workload(context_tokens=1024, concurrency=3))
    assert cache.tokens_bytes == 3 * 1024 * 4 * 2 * 2 * 32 * 2
    assert cache.margin_bytes == 0


def test_quantized_cache_takes_its_block_size():
    f16 = kv_cache(shape(), Workload(context_tokens=1024)).bytes
    q8 = kv_cache(shape(), Workload(context_tokens=1024), k_type="q8_0", v_type="q8_0").bytes
    assert q8 * 64 == f16 * 34


def test_windows_keep_only_the_window():
    windowed = shape(attention=("sliding",) * 3 + ("full",), sliding_window=512)
    cache = kv_cache(windowed, Workload(context_tokens=8192))
    assert cache.tokens_bytes == (3 * 512 + 8192) * 2 * 2 * 32 * 2
    assert cache.margin_bytes == 3 * 512 * 2 * 2 * 32 * 2


def test_unknown_cache_type_is_refused():
    with pytest.raises(UsageError, match="q3_z"):
        kv_cache(shape(), Workload(), k_type="q3_z")


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


def test_nonsense_workload_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        fit(
            "m",
            shape(),
            ServingLoad(quantization="F16", weights_bytes=1, weights_basis="test"),
            Workload(context_tokens=0),
            machine=probe_machine(),
        )


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


def test_latent_layers_keep_one_vector_and_recurrent_ones_a_state():
    deepseek = models.get("deepseek-ai/DeepSeek-V3").shape
    assert kv_cache(deepseek, Workload(context_tokens=1024)).bytes == 1024 * 61 * (512 + 64) * 2
    jamba = models.get("ai21labs/AI21-Jamba-1.5-Mini").shape
    short = kv_cache(jamba, Workload(context_tokens=1024))
    long = kv_cache(jamba, Workload(context_tokens=4096))
    assert short.state_bytes == long.state_bytes == 28 * 4 * (3 * 8192 + 16 * 8192)
    assert long.tokens_bytes == 4 * short.tokens_bytes == 4096 * 4 * 2 * 8 * 128 * 2


def test_four_bit_tensors_are_held_twice_on_a_cpu_that_repacks():
    stored = [
        ("blk.0.ffn_up.weight", (256, 512), "Q4_K"),
        ("blk.0.ffn_down_exps.weight", (256, 512, 4), "Q4_0"),
        ("blk.0.attn_k_b.weight", (256, 512, 4), "Q4_0"),
        ("token_embd.weight", (256, 512), "Q4_K"),
        ("output.weight", (256, 512), "Q6_K"),
    ]
    once = 256 * 512 * 144 // 256
    assert repacked_bytes(stored, ("AVX", "AVX2")) == once + 4 * once
    assert repacked_bytes(stored, ()) == 0
