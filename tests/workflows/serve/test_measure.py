"""`freehold fit --measure speed` and `freehold load`, and the endpoints they ask."""

import json
import threading

import anyio
import pytest
from click.testing import CliRunner
from tests.gateway.loopback import FakeUpstream, plain

from freehold import engines
from freehold.cli.main import cli
from freehold.errors import EngineError, UpstreamError, UsageError
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.machine import MeasuredSpeed
from freehold.types.serving import LoadReport
from freehold.workflows.fit.learned import measured
from freehold.workflows.project import open_project
from freehold.workflows.serve.measure import bench, find_endpoint, is_here


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    # Each token takes its time, so that a long answer takes measurably longer than a short one.
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "x"\n[serve]\nengine = "echo"\n[serve.options]\ntoken_delay_ms = 2\n'
    )
    return open_project()


@pytest.mark.process
def test_a_measured_speed_is_kept_and_replaced(project):
    first = bench(project, "echo", completion_tokens=32)
    low, high = first.speed.prefill_tokens_per_second
    assert 0 < low <= high
    assert first.speed.how == "measured"
    again = bench(project, "echo", completion_tokens=32)
    assert again.id == first.id
    assert measured(project, "echo", "Q4_0") == again.speed, "an engine that names no quantization"
    assert measured(project, "other", "Q4_0") is None


def test_too_few_tokens_are_refused(project):
    with pytest.raises(UsageError, match="16 tokens"):
        bench(project, "echo", prompt_tokens=4)


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
def loaded_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["load", *arguments], catch_exceptions=True)


def test_a_report_is_printed_and_kept(endpoint, loaded_project):
    result = run(endpoint.base_url, "--streams", "2,1", "--seconds", "1.5", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [level["streams"] for level in told["levels"]] == [1, 2]
    assert told["model"] == "m" and told["knee_streams"] in (1, 2)
    with open_store(f"sqlite:///{loaded_project / '.freehold' / 'freehold.sqlite'}") as store:
        assert store.get(LoadReport, told["id"]) is not None
        (speed,) = store.records(MeasuredSpeed)
        assert speed.model == "m" and speed.speed.how == "measured"
        assert speed.speed.concurrency == told["knee_streams"]
        assert 0 < speed.speed.decode_tokens_per_second[0] <= speed.speed.decode_tokens_per_second[1]
        assert store.sources(MeasuredSpeed, speed.id) == (told["id"],)


def test_an_endpoint_that_refuses_everything_is_not_held_for_a_level(endpoint, loaded_project):
    # Held for its level, this would take longer than any test may.
    result = run(endpoint.base_url, "--model", "nope", "--seconds", "100000")
    assert isinstance(result.exception, UpstreamError)
    assert "status 404: " in str(result.exception) and "nope" in str(result.exception)
    assert "models there: m" in result.exception.hint


def test_sizes_are_checked_before_anybody_is_asked(loaded_project):
    assert "are not numbers" in str(run("http://127.0.0.1:9", "--streams", "a").exception)


def test_no_traces_yet(endpoint, loaded_project):
    assert "no request with messages" in str(run(endpoint.base_url, "--traces").exception)
    assert "are not numbers" in str(run(endpoint.base_url, "--streams", "0").exception)


def test_only_this_machines_speed_is_kept():
    assert is_here("http://127.0.0.1:8420") and is_here("http://[::1]:1") and is_here("http://localhost")
    assert not is_here("https://api.example.com")


MODELS = b'{"data": [{"id": "one"}, {"id": "two"}]}'


@pytest.fixture
def server():
    """``(answer, requests, url)``: status and body of every answer, path and key of what was asked."""
    answer, requests, upstream = [200, MODELS], [], FakeUpstream()

    def told(seen):
        requests.append((seen.path, seen.headers.get("authorization")))
        return plain(answer[1], status=answer[0])

    upstream.answer = told
    yield answer, requests, upstream.base_url
    upstream.close()


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_may_be_written_in_any_usual_way(server, path):
    _, requests, url = server
    endpoint = find_endpoint(url + path)
    assert (endpoint.base_url, endpoint.engine, endpoint.api_key_env) == (url, "remote", None)
    assert [(model.name, model.upstream_name) for model in endpoint.models] == [
        ("one", "one"),
        ("two", "two"),
    ]
    assert requests == [("/v1/models", None)]


def test_the_key_comes_from_the_environment(server, monkeypatch):
    _, requests, url = server
    monkeypatch.delenv("THEIR_KEY", raising=False)
    with pytest.raises(UsageError, match="the environment has no THEIR_KEY"):
        find_endpoint(url, api_key_env="THEIR_KEY")
    assert requests == []
    monkeypatch.setenv("THEIR_KEY", "sk")
    assert find_endpoint(url, api_key_env="THEIR_KEY", name="theirs").name == "theirs"
    assert requests == [("/v1/models", "Bearer sk")]


@pytest.mark.parametrize(
    ("status", "body", "message", "hint"),
    [
        (401, b"{}", "refuses the key", "--api-key-env NAME"),
        (404, b"{}", "lists no models", "OpenAI-compatible"),
        (200, b"<html>", "lists no models", "OpenAI-compatible"),
        (200, b'{"models": []}', "lists no models", "OpenAI-compatible"),
        (200, b'{"data": []}', "lists no models", "is a model loaded there"),
    ],
)
def test_what_is_wrong_there_is_told(server, status, body, message, hint):
    answer, _, url = server
    answer[:] = [status, body]
    with pytest.raises((EngineError, UpstreamError), match=message) as caught:
        find_endpoint(url)
    assert hint in caught.value.hint


def test_an_address_where_nothing_answers():
    with pytest.raises(EngineError, match="nothing answers at"):
        find_endpoint(f"http://127.0.0.1:{claim_port()}")
    with pytest.raises(UsageError, match="localhost:1"):
        find_endpoint("localhost:1")
