"""Weights that are planned, and a home of their own for each test."""

import hashlib

import pytest

from benchmarks import tiny_models
from freehold.settings import load
from freehold.types.config import AppConfig, FinetuneConfig, ProjectConfig
from freehold.types.model import Weights
from freehold.types.training import Adapter
from freehold.workflows.project import Project


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def empty_project(tmp_path, settings):
    """A project without a file, whose home is that of `settings`."""
    return Project(tmp_path, ProjectConfig(app=AppConfig(name="a")), settings, None)


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


@pytest.fixture
def adapter(tmp_path):
    """The manifest of an adapter in the test's folder: ``adapter(files={…}, method="full")``."""

    def make(files=(), **config):
        return Adapter(
            id="a1",
            name="shop",
            path=str(tmp_path),
            base_model="org/base",
            base_sha256="b" * 64,
            dataset_id="d",
            config=FinetuneConfig(**config),
            template_sha256="t",
            seed=0,
            steps=1,
            train_tokens=1,
            train_seconds=1.0,
            final_loss=0.1,
            peak_memory_bytes=None,
            files=dict(files),
            versions={},
            made_from=(),
        )

    return make
