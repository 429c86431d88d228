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
