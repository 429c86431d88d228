"""llama.cpp's options and what they cannot be."""

import msgspec
import pytest

from freehold import engines
from freehold.engines.llamacpp.server import LlamaOptions, check_options
from freehold.errors import FreeholdError, UsageError

pytest.importorskip("xllamacpp")


def test_an_unknown_kv_type(plan):
    with pytest.raises(UsageError, match="'q9' is unknown"):
        engines.check(msgspec.structs.replace(plan, kv_type="q9"))


def test_values_are_not_quantized_without_flash_attention(plan):
    off = msgspec.structs.replace(plan, kv_type="q8_0", options={"flash_attention": "off"})
    with pytest.raises(UsageError, match="with flash attention only"):
        engines.check(off)
    engines.check(msgspec.structs.replace(off, kv_type="f16"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"speculative": "draft"}, "no draft_model"),
        ({"speculative": "draft", "draft_model": "/nowhere.gguf"}, "no draft model at /nowhere.gguf"),
        ({"micro_batch": 0}, "micro_batch is 0"),
    ],
)
def test_options_that_cannot_hold_are_refused(fields, says):
    with pytest.raises(FreeholdError, match=says):
        check_options(LlamaOptions(**fields))
