"""`freehold serve`: what is told before a start, and models that share a machine."""

import socket

import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.journey.rehearsal import Told

from freehold.cli.main import cli
from freehold.errors import PortInUseError, UsageError
from freehold.processes import claim_port
from freehold.progress import Silent
from freehold.types.endpoint import ServePlan
from freehold.types.machine import Fit, Workload
from freehold.workflows.project import open_project
from freehold.workflows.serve import plan, serve


def test_what_cannot_work_is_told_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = Told()
    plan = ServePlan(engine="echo", model="echo", options={"anwers": {}})
    with pytest.raises(UsageError, match="unknown option anwers"):
        serve.serve(open_project(), [plan], port=claim_port(), ready=lambda _: None, progress=told)
    assert told.said == told.steps == []


ECHO = ServePlan(engine="echo", model="echo")
FIT = Fit(
    id="fit", model="echo", quantization="", machine="here", workload=Workload(), parts=(),
    total_bytes=2 << 30, available_bytes=16 << 30, headroom_bytes=14 << 30, fits=True, reasons=(),
)  # fmt: skip


def test_models_that_do_not_fit_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    huge = msgspec.structs.replace(FIT, total_bytes=1 << 50)
    two = [msgspec.structs.replace(ECHO, model=name, memory=huge) for name in "ab"]
    with pytest.raises(UsageError, match=r"the models need .* GiB together, .* GiB are available"):
        serve.serve(open_project(), two, port=claim_port(), ready=lambda _: None, progress=Silent())


def test_a_port_in_use_is_told_before_weights_are_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fetched = []
    monkeypatch.setattr(plan, "plans", lambda *_, **__: fetched.append(1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = CliRunner().invoke(cli, ["serve", "org/model", "--port", str(port)])
    assert isinstance(found.exception, PortInUseError)
    assert fetched == []
