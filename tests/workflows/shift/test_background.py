"""A gateway that outlives the command that started it."""

import gc

import pytest

from freehold.errors import UsageError
from freehold.types.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.shift import background


def test_it_is_found_again_and_stopped(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\nengine = "echo"\n')
    project = open_project(tmp_path / "freehold.toml")
    with pytest.raises(UsageError, match="nothing runs"):
        background.stop(project)
    started = background.start(project, progress=Silent())
    gc.collect()
    try:
        assert background.running(project) == started
    finally:
        background.stop(project)
    assert background.running(project) is None
