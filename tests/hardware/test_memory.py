import pytest
from tests.hardware.small_shapes import shape

from freehold.catalog import models
from freehold.errors import UsageError
from freehold.hardware.memory import kv_cache
from freehold.types.machine import Workload


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


def test_latent_layers_keep_one_vector_and_recurrent_ones_a_state():
    deepseek = models.get("deepseek-ai/DeepSeek-V3").shape
    assert kv_cache(deepseek, Workload(context_tokens=1024)).bytes == 1024 * 61 * (512 + 64) * 2
    jamba = models.get("ai21labs/AI21-Jamba-1.5-Mini").shape
    short = kv_cache(jamba, Workload(context_tokens=1024))
    long = kv_cache(jamba, Workload(context_tokens=4096))
    assert short.state_bytes == long.state_bytes == 28 * 4 * (3 * 8192 + 16 * 8192)
    assert long.tokens_bytes == 4 * short.tokens_bytes == 4096 * 4 * 2 * 8 * 128 * 2


def test_compressed_layers_keep_a_window_an_entry_for_several_tokens_and_an_index():
    """DeepSeek V4 Flash: 2 layers with a window alone, 21 with an entry for 4 tokens and its index, 20 for 128."""
    tokens = 1 << 20
    vectors = 43 * 128 + 21 * tokens // 4 + 20 * tokens // 128
    index = 21 * tokens // 4
    cache = kv_cache(models.get("deepseek-ai/DeepSeek-V4-Flash").shape, Workload(context_tokens=tokens))
    assert cache.tokens_bytes == 2 * (512 * vectors + 128 * index)


def test_layers_that_borrow_a_cache_keep_none():
    """Gemma 4 E2B: of 35 layers the first 15 keep one, 12 with a window of 512 and 3 with wider heads."""
    cache = kv_cache(models.get("google/gemma-4-E2B-it").shape, Workload(context_tokens=8192))
    assert cache.tokens_bytes == 2 * 2 * (12 * 512 * 256 + 3 * 8192 * 512)
