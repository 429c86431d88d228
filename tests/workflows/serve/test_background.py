"""A gateway that outlives the command that started it."""

import os
import shutil
import subprocess
import sys

import msgspec
import psutil
import pytest

from freehold.errors import UsageError
from freehold.processes import described
from freehold.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.serve import background

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
        assert background.running(copy) is None and background.live_servers(copy.state / "engines") == []
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
    folder = project.state / "engines"
    folder.mkdir(parents=True)
    there = {
        **described(os.getpid(), folder),
        "host": "other.example",
        "url": "http://127.0.0.1:9",
        "log": "up.log",
    }
    (folder / "serving-9.json").write_bytes(msgspec.json.encode(there))
    with pytest.raises(UsageError, match=r"http://127.0.0.1:9 was started on other\.example"):
        background.stop(project)


def leave(folder, port, pid=None, started=None):
    pid = pid or os.getpid()
    server = background.Served(
        pid=pid,
        started=started if started is not None else psutil.Process(pid).create_time(),
        url=f"http://127.0.0.1:{port}",
    )
    (folder / f"serving-{port}.json").write_bytes(msgspec.json.encode(server))
    return server


def test_only_those_whose_process_lives_count(tmp_path):
    alive = leave(tmp_path, 8001)
    leave(tmp_path, 8002, started=psutil.Process().create_time() - 60)  # a later process has its id
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leave(tmp_path, 8003, pid=ended.pid, started=0.0)
    (tmp_path / "serving-8004.json").write_text("{")
    assert background.live_servers(tmp_path) == [alive]
    assert background.live_servers(tmp_path / "nowhere") == []
