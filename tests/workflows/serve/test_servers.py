"""Which servers live, by the files they leave; folders that cannot be written; what systemd hears, on a real socket."""

import os
import socket
import subprocess
import sys
import tempfile

import msgspec
import psutil
import pytest

from freehold.errors import StorageError
from freehold.workflows.project import open_project
from freehold.workflows.serve import hold


def leave(folder, port, pid=None, started=None):
    pid = pid or os.getpid()
    server = hold.Served(
        pid=pid,
        started=started if started is not None else psutil.Process(pid).create_time(),
        url=f"http://127.0.0.1:{port}",
    )
    (folder / f"serving-{port}.json").write_bytes(msgspec.json.encode(server))
    return server


@pytest.mark.process
def test_only_those_whose_process_lives_count(tmp_path):
    alive = leave(tmp_path, 8001)
    leave(tmp_path, 8002, started=psutil.Process().create_time() - 60)  # a later process has its id
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leave(tmp_path, 8003, pid=ended.pid, started=0.0)
    (tmp_path / "serving-8004.json").write_text("{")
    assert hold.live_servers(tmp_path) == [alive]
    assert hold.live_servers(tmp_path / "nowhere") == []


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_folders_that_can_be_written_are_left_as_they_are(project):
    hold.check_folders(project)
    assert [path.name for path in project.state.iterdir()] == [".gitignore"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; tests/deploy has a read-only root")
def test_a_state_folder_of_another_user(project):
    project.state.chmod(0o500)
    with pytest.raises(
        StorageError, match="the state folder cannot be written: Permission denied"
    ) as refused:
        hold.check_folders(project)
    assert "mount a volume" in refused.value.hint
    project.state.chmod(0o700)


def test_no_place_for_temporary_files(project, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "gone")])
    with pytest.raises(StorageError, match="temporary files") as refused:
        hold.check_folders(project)
    assert "--tmpfs /tmp" in refused.value.hint


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    address = (
        str(tmp_path / "notify") if request.param == "path" else f"@freehold-{tmp_path.name}-{id(tmp_path)}"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address if request.param == "path" else "\0" + address[1:])
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listening


def test_a_manager_hears_the_state(manager):
    assert hold.tell_manager("READY=1")
    assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all", "@" + "long" * 60])
def test_without_a_manager_that_listens_nothing_happens(address, monkeypatch):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not hold.tell_manager("STOPPING=1")
