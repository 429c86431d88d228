"""`freehold load` as a command, against echo."""

import json
import threading

import anyio
import pytest
from click.testing import CliRunner

from freehold import engines
from freehold.cli.main import cli
from freehold.errors import UpstreamError
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.machine import MeasuredSpeed
from freehold.types.serving.load import LoadReport
from freehold.workflows.serve.load import is_here


@pytest.fixture
def endpoint(tmp_path):
    """An echo in a thread of its own, so that the command can have the main one."""
    ready, done, found = threading.Event(), threading.Event(), []

    async def serve():
        plan = ServePlan(engine="echo", model="m", options={"in_process": True, "delay_ms": 5})
        async with engines.start(plan, log_dir=tmp_path, name="e", key_env=None) as one:
            found.append(one)
            ready.set()
            while not done.is_set():
                await anyio.sleep(0.01)

    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    ready.wait(10)
    yield found[0]
    done.set()
    thread.join()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["load", *arguments], catch_exceptions=True)


def test_a_report_is_printed_and_kept(endpoint, project):
    result = run(endpoint.base_url, "--streams", "2,1", "--seconds", "1.5", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [level["streams"] for level in told["levels"]] == [1, 2]
    assert told["model"] == "m" and told["knee_streams"] in (1, 2)
    with open_store(f"sqlite:///{project / '.freehold' / 'freehold.sqlite'}") as store:
        assert store.get(LoadReport, told["id"]) is not None
        (speed,) = store.records(MeasuredSpeed)
        assert speed.model == "m" and speed.speed.how == "measured"
        assert speed.speed.concurrency == told["knee_streams"]
        assert 0 < speed.speed.decode_tokens_per_second[0] <= speed.speed.decode_tokens_per_second[1]
        assert store.sources(MeasuredSpeed, speed.id) == (told["id"],)


def test_an_endpoint_that_refuses_everything_is_not_held_for_a_level(endpoint, project):
    # Held for its level, this would take longer than any test may.
    result = run(endpoint.base_url, "--model", "nope", "--seconds", "100000")
    assert isinstance(result.exception, UpstreamError)
    assert "status 404: " in str(result.exception) and "nope" in str(result.exception)
    assert "models there: m" in result.exception.hint


def test_sizes_are_checked_before_anybody_is_asked(project):
    assert "are not numbers" in str(run("http://127.0.0.1:9", "--streams", "a").exception)


def test_no_traces_yet(endpoint, project):
    assert "no request with messages" in str(run(endpoint.base_url, "--traces").exception)
    assert "are not numbers" in str(run(endpoint.base_url, "--streams", "0").exception)


def test_only_this_machines_speed_is_kept():
    assert is_here("http://127.0.0.1:8420") and is_here("http://[::1]:1") and is_here("http://localhost")
    assert not is_here("https://api.example.com")
