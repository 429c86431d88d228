"""A fake Ollama on a free port."""

import pytest
from tests.engines.ollama.fake import fake_ollama


@pytest.fixture
async def ollama(anyio_backend):
    async with fake_ollama() as found:
        yield found
