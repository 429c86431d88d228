"""A gateway that outlives the command that started it."""

import os
import shutil

import msgspec
import pytest

from freehold.errors import UsageError
from freehold.processes import described
from freehold.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.serve import hold
from freehold.workflows.shift import background

pytestmark = pytest.mark.process


def test_an_incumbent_without_its_key_does_not_keep_the_model_from_serving(tmp_path, monkeypatch):
    monkeypatch.delenv("RENTED_KEY", raising=False)
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "x"\n[serve]\nengine = "echo"\n[incumbent]\nmodel = "rented"\n'
        'base_url = "http://127.0.0.1:9/v1"\napi_key_env = "RENTED_KEY"\n'
    )
    project = open_project(tmp_path / "freehold.toml")
    assert background.start(project, progress=Silent()) == background.running(project)
    background.stop(project)


def test_a_copy_of_the_project_neither_stops_nor_replaces_the_originals(tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    (original / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\nengine = "echo"\n')
    project = open_project(original / "freehold.toml")
    started = background.start(project, progress=Silent())
    try:
        shutil.copytree(original, tmp_path / "copy")
        copy = open_project(tmp_path / "copy" / "freehold.toml")
        assert background.running(copy) is None and hold.live_servers(copy.state / "engines") == []
        with pytest.raises(
            UsageError, match=f"{started.url} belongs to {project.state}, which this project was"
        ):
            background.stop(copy)
        own = background.start(copy, progress=Silent())
        assert own.url != started.url
        assert background.running(project) == started and background.running(copy) == own
        background.stop(copy)
        assert background.running(project) == started
    finally:
        background.stop(project)


def test_one_of_another_machine_is_left_alone(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    project = open_project(tmp_path / "freehold.toml")
    values = {**described(os.getpid(), project.state), "host": "other.example"}
    there = msgspec.convert({**values, "url": "http://127.0.0.1:9", "log": "up.log"}, background.Background)
    (project.state / "up.json").write_bytes(msgspec.json.encode(there))
    with pytest.raises(UsageError, match=r"http://127.0.0.1:9 was started on other\.example"):
        background.stop(project)
