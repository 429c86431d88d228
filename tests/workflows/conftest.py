"""What the tests of workflows share: a project, a store, settings, and rented APIs on loopback."""

import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY, Api
from tests.workflows.watch.watching import Incumbent

from freehold.settings import load
from freehold.store import open_store
from freehold.store.database import default_url
from freehold.types.model import Weights
from freehold.workflows.project import open_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project named shop, open, in the folder that commands run in."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def api(monkeypatch):
    """An account of a vendor that fine-tunes models."""
    monkeypatch.setenv(KEY, "sk-test")
    server = Api()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def incumbent():
    server = Incumbent()
    yield server
    server.close()


@pytest.fixture
def base():
    """Weights whose file is not there: for plans that do not read it."""
    return Weights(
        model_id="org/base", format="gguf", quantization="Q4_1", bytes=1, sha256="a" * 64,
        source="file:base.gguf", path="/weights/base.gguf",
    )  # fmt: skip
