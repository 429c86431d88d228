"""A plan of a base that is a header alone."""

import pytest
from tests.engines.llamacpp.headers import gguf

from freehold.types.endpoint import ServePlan

pytest.importorskip("xllamacpp")


@pytest.fixture
def plan(tmp_path):
    weights = gguf(
        tmp_path / "base.gguf",
        general__architecture="llama",
        llama__context_length=2048,
        tokenizer__chat_template="{{ messages }}",
    )
    return ServePlan(
        engine="llamacpp", model="base", weights_path=weights, weights_sha256="a" * 64, context_tokens=2048
    )
