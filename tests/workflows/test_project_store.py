import pytest
from tests.workflows.shift.shifting import trace

from freehold.workflows.project import open_project
from freehold.workflows.project_store import opened_store


def test_the_projects_store_is_open_for_as_long_as_the_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    with opened_store(project) as (store, same):
        store.add_traces([trace(1)])
        assert same is project and store.url == project.store_url
    with opened_store(project) as (again, _), pytest.raises(ValueError, match="mine"):
        assert again.count_traces() == 1
        raise ValueError("mine")
