"""A gateway that outlives the command that started it."""

import gc
import shutil

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


def test_a_copied_project_does_not_stop_the_originals(tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    (original / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\nengine = "echo"\n')
    project = open_project(original)
    started = background.start(project, progress=Silent())
    try:
        shutil.copytree(
            original, tmp_path / "copy", ignore=lambda folder, names: [n for n in names if "sqlite" in n]
        )
        copy = open_project(tmp_path / "copy")
        assert background.running(copy) is None
        with pytest.raises(UsageError, match="nothing runs"):
            background.stop(copy)
        assert background.running(project) == started
    finally:
        background.stop(project)
