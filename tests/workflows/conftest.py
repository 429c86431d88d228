"""A rented API on loopback, for tests of what asks it."""

import pytest
from tests.workflows.watch.watching import Incumbent

from freehold.types.model import Weights


@pytest.fixture
def incumbent():
    server = Incumbent()
    yield server
    server.close()


@pytest.fixture
def base():
    """Weights whose file is not there: for plans that do not read it."""
    return Weights(
        model_id="org/base",
        format="gguf",
        quantization="Q4_1",
        bytes=1,
        sha256="a" * 64,
        source="file:base.gguf",
        path="/weights/base.gguf",
    )
