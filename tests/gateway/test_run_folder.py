"""Where a gateway's processes meet, and what is said where they cannot."""

import os
import tempfile

import pytest

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.run_folder import new_run_folder, sweep_left_over_folders
from freehold.gateway.serve import free_port, start
from freehold.types.endpoint import Endpoint


def test_a_path_that_no_socket_can_have_is_said_before_the_start(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    endpoint = Endpoint(name="a", engine="remote", base_url="http://127.0.0.1:1")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ConfigError, match=f"in {long}: AF_UNIX path too long") as refused:
        start(
            GatewayConfig(
                endpoints=(endpoint,), port=free_port(), store_url=f"sqlite:///{tmp_path}/s.sqlite3"
            )
        )
    assert "export TMPDIR=/tmp" in refused.value.hint
    assert not [*long.iterdir()]


def test_folders_of_gateways_that_were_killed_are_removed_after_a_week(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new = tmp_path / "freehold-gateway-old", tmp_path / "freehold-gateway-new"
    other = tmp_path / "other"
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "file").touch()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    sweep_left_over_folders()
    assert sorted(tmp_path.iterdir()) == [new, other]
    with new_run_folder() as made:
        assert made.startswith(str(tmp_path / "freehold-gateway-"))
