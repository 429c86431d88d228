"""Engines that are held: where they answer, what is loaded first, what runs next to them."""

import contextlib
import json
import os
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.workflows.serve.holding import echo, hold_while

from freehold.engines import keys
from freehold.errors import EngineError, PortInUseError, StorageError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.preparing.index import write_index
from freehold.processes import claim_port
from freehold.types.endpoint import Example, ExampleIndex, Preparation, ServePlan
from freehold.workflows.project import open_project
from freehold.workflows.serve import hold
from freehold.workflows.serve.background import live_servers


def models_at(url):
    with urllib.request.urlopen(f"{url}/v1/models") as reply:
        return [row["id"] for row in json.loads(reply.read())["data"]]


@pytest.mark.process
def test_several_engines_answer_at_the_gateways_port_and_leave_a_file(tmp_path):
    port, seen = claim_port(), []

    def use(at):
        (server,) = live_servers(tmp_path)
        (file,) = tmp_path.glob("serving-*.json")
        seen.append((at.url, at.models, sorted(models_at(at.url)), server.url, file.stat().st_mode & 0o777))

    hold_while(use, [echo(), echo("other")], tmp_path, GatewayConfig(endpoints=(), port=port))
    url = f"http://127.0.0.1:{port}"
    assert seen == [(url, ("echo", "other"), ["echo", "other"], url, 0o600)]
    assert live_servers(tmp_path) == [] and not list(tmp_path.glob("serving-*.json"))


@pytest.mark.process
def test_a_companion_is_started_tended_and_stopped(tmp_path):
    calls, tended = [], threading.Event()

    class Recorded:
        def __init__(self, logs):
            calls.append(logs)

        def tend(self):
            tended.set()

        def stop(self):
            calls.append("stop")

    hold_while(lambda at: tended.wait(20), [echo()], tmp_path, companion=Recorded)
    assert tended.is_set() and calls == [tmp_path, "stop"]


def test_what_cannot_be_held_is_told(tmp_path):
    unknown = msgspec.structs.replace(echo("b"), options={"nothing": 1})
    for plans, message in (
        ([echo(), unknown], "unknown option nothing"),
        ([echo(), echo()], "one name: echo, echo"),
    ):
        with pytest.raises(UsageError, match=message):
            hold_while(print, plans, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUseError) as caught:
        port = taken.getsockname()[1]
        hold_while(print, [echo()], tmp_path, GatewayConfig(endpoints=(), host="127.0.0.1", port=port))
    assert str(port) in caught.value.message


def test_a_model_that_ran_out_of_memory_is_told(tmp_path, monkeypatch):
    class Dying:
        def __init__(self, plan, **_):
            self.plan = plan

        async def start(self):
            raise EngineError("it ended: out of memory: bad_alloc")

        async def stop(self):
            pass

    monkeypatch.setattr("freehold.workflows.serve.hold.start_engine", Dying)
    told = []
    with pytest.raises(EngineError):
        hold_while(print, [echo()], tmp_path, on_memory=lambda *found: told.append(found[1:]))
    assert "bad_alloc" in told[0][1]


def status_of(url):
    try:
        with urllib.request.urlopen(f"{url}/v1/models") as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.process
@pytest.mark.parametrize("names", [("a",), ("a", "b")], ids=["alone", "several"])
def test_behind_a_gateway_engines_answer_it_alone(tmp_path, names):
    seen = []

    def use(at):
        behind = [endpoint.base_url for endpoint in (at.endpoint, *at.others)]
        seen.extend([models_at(at.url), *map(status_of, behind)])
        left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert keys.value_of(keys.RUN_KEY_ENV).encode() not in left
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # it has just ended
                assert keys.value_of(keys.RUN_KEY_ENV) not in " ".join(process.cmdline())

    config = GatewayConfig(endpoints=(), host="127.0.0.1", port=claim_port())
    plans = [ServePlan(engine="echo", model=name) for name in names]
    hold_while(use, plans, tmp_path, config)
    assert seen == [[*names], *[401] * len(names)]


def ask(url, text):
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": text}]}).encode()
    asked = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as reply:
        return json.loads(reply.read())


def prepared(folder):
    """Echo, asked with one example and another system prompt."""
    written = write_index([Example(id="s", question="one two three", answer="four")], folder)
    index = ExampleIndex(path=written.path, sha256=written.sha256, samples=1, k=1)
    made = Preparation.of(base_model="echo", dataset_id="d", system="One word.", examples=index)
    return echo(preparation=made)


@pytest.mark.process
@pytest.mark.parametrize("others", [0, 1])
def test_a_model_is_asked_as_its_plan_prepares_it(tmp_path, others):
    seen = []

    def use(at):
        bare = 3 + 1 + 3 + 4  # two frames; "hi"; "One word."
        answer = ask(at.url, "hi")
        seen.append((answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"] > bare + 4))

    plans = [prepared(tmp_path / "examples"), *(echo(f"other{n}") for n in range(others))]
    hold_while(use, plans, tmp_path / "logs")
    assert seen == [("hi", True)]


def test_a_plan_without_its_examples_does_not_start(tmp_path):
    plan = prepared(tmp_path / "examples")
    (Path(plan.preparation.examples.path) / "examples.jsonl").unlink()
    with pytest.raises(EngineError, match="the index of examples cannot be read"):
        hold_while(lambda at: None, [plan], tmp_path / "logs", GatewayConfig(endpoints=(), port=claim_port()))


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
