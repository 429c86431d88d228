import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store


@pytest.fixture
def project(tmp_path):
    return project_of(tmp_path, evidence.TOML)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        yield store
