import pytest

from benchmarks import tiny_models


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path
