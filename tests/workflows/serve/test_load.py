"""Load, speed and engines, against echo."""

import json
import threading

import anyio
import pytest
from click.testing import CliRunner

from freehold import engines
from freehold.cli.main import cli
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.errors import UpstreamError, UsageError
from freehold.settings import load
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.machine import MeasuredSpeed
from freehold.types.serving.load import LoadReport
from freehold.workflows.fit.speeds import measured
from freehold.workflows.project import open_project
from freehold.workflows.serve.bench import bench
from freehold.workflows.serve.engines import faster, list_engines
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


@pytest.fixture
def project_of_bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    # Each token takes its time, so that a long answer takes measurably longer than a short one.
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "x"\n[serve]\nengine = "echo"\n[serve.options]\ntoken_delay_ms = 2\n'
    )
    return open_project()


@pytest.mark.process
def test_a_measured_speed_is_kept_and_replaced(project_of_bench):
    first = bench(project_of_bench, "echo", completion_tokens=32)
    low, high = first.speed.prefill_tokens_per_second
    assert 0 < low <= high
    assert first.speed.how == "measured"
    again = bench(project_of_bench, "echo", completion_tokens=32)
    assert again.id == first.id
    assert measured(project_of_bench, "echo", "Q4_0") == again.speed, "an engine that names no quantization"
    assert measured(project_of_bench, "other", "Q4_0") is None


def test_too_few_tokens_are_refused(project_of_bench):
    with pytest.raises(UsageError, match="16 tokens"):
        bench(project_of_bench, "echo", prompt_tokens=4)


def test_an_engine_is_only_called_available_where_it_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    lines = {line.name: line for line in list_engines(load({"FREEHOLD_HOME": str(tmp_path)}))}
    assert not lines["ollama"].available
    assert "no Ollama answers at http://127.0.0.1:9" in lines["ollama"].note
    assert not lines["vllm"].available
    assert lines["vllm"].note.startswith("freehold engines install vllm")
    assert lines["echo"].available and lines["remote"].available


def test_the_faster_one_is_chosen_by_both_speeds():
    slow = StreamSpeed(prompt_tokens_per_second=280, completion_tokens_per_second=90)
    assert faster(StreamSpeed(prompt_tokens_per_second=1300, completion_tokens_per_second=217), slow)
    assert not faster(StreamSpeed(prompt_tokens_per_second=300, completion_tokens_per_second=60), slow)
