"""Which servers live, by the files they leave."""

import os
import subprocess
import sys

import msgspec
import psutil
import pytest

from freehold.engines.pool.control import Served
from freehold.errors import UsageError
from freehold.workflows.serve import servers


def leave(folder, port, pid=None, started=None):
    pid = pid or os.getpid()
    server = Served(
        pid=pid,
        started=started if started is not None else psutil.Process(pid).create_time(),
        url=f"http://127.0.0.1:{port}",
        control_url="http://127.0.0.1:1",
        token="t",
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
    assert servers.live(tmp_path) == [alive]
    assert servers.live(tmp_path / "nowhere") == []


def test_the_only_one_is_meant_or_the_one_at_a_port(tmp_path):
    with pytest.raises(UsageError, match=r"nothing is served from this project$"):
        servers.only(tmp_path)
    first = leave(tmp_path, 8001)
    assert servers.only(tmp_path) == first
    second = leave(tmp_path, 18001)
    with pytest.raises(UsageError, match=r"several .* this project: .*:18001, .*:8001"):
        servers.only(tmp_path)
    assert servers.only(tmp_path, port=8001) == first and servers.only(tmp_path, port=18001) == second
    with pytest.raises(UsageError, match="on port 1"):
        servers.only(tmp_path, port=1)
