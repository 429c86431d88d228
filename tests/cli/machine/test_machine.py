import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.hardware.probes import bandwidth


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    monkeypatch.setattr(bandwidth, "BLOCK_BYTES", 4 << 20)


def test_each_figure_says_how_it_is_known():
    shown = CliRunner().invoke(cli, ["machine"])
    assert shown.exit_code == 0
    for part in ("cores", "memory", "available", "bandwidth", "disk"):
        line = next(line for line in shown.stdout.splitlines() if line.strip().startswith(part))
        assert line.rstrip().endswith(")"), line
    assert "measured with" in shown.stdout
    record = json.loads(CliRunner().invoke(cli, ["machine", "--json"]).stdout)
    assert record["memory_bandwidth_bytes_per_second"] > 1e8


def test_a_machine_one_does_not_have():
    shown = CliRunner().invoke(cli, ["machine", "2x L4"]).stdout
    assert "2 × L4 24GB, each: 22.5 GiB, 0.88 GiB of it kept by the driver, 300 GB/s" in shown
    assert "catalog, checked" in shown
    assert "cores" not in shown
