"""What the tests of workflows share: a project, a store, and a rented API on loopback."""

import pytest
from tests.workflows.watch.watching import Incumbent

from freehold.store import default_url, open_store
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
def incumbent():
    server = Incumbent()
    yield server
    server.close()
