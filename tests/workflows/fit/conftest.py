import pytest

from benchmarks import tiny_models
from freehold.settings import load


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path
