"""Weights that are planned, and a home of their own for each test."""

import hashlib

import pytest

from benchmarks import tiny_models
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.model import Weights
from freehold.workflows.project import Project


@pytest.fixture
def empty_project(tmp_path, settings):
    """A project without a file, whose home is that of `settings`."""
    return Project(tmp_path, ProjectConfig(app=AppConfig(name="a")), settings, None)


@pytest.fixture
def tiny(tmp_path):
    """Real weights of a few hundred kilobytes, in a GGUF file."""
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Weights(
        model_id="org/tiny", format="gguf", quantization="Q8_0", bytes=path.stat().st_size, sha256=digest,
        source=f"file:{path}", path=str(path),
    )  # fmt: skip
