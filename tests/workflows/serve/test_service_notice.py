"""What systemd hears of a server, on a real socket."""

import socket

import pytest

from freehold.workflows.serve.service_notice import tell_manager


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
    assert tell_manager("READY=1")
    assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all", "@" + "long" * 60])
def test_without_a_manager_that_listens_nothing_happens(address, monkeypatch):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not tell_manager("STOPPING=1")
