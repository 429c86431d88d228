import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence


@pytest.fixture
def project(tmp_path):
    return project_of(tmp_path, evidence.TOML)
