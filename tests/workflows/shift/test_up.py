"""`freehold up` and `freehold serve` as a person runs them: real processes, the official client."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import msgspec
import openai
import pytest

from freehold.errors import UsageError, WeightsError
from freehold.store import audit, open_store
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.model import Weights
from freehold.workflows.project import open_project
from freehold.workflows.serve import plan as chosen

pytestmark = pytest.mark.process


class Command:
    """A running `freehold …` in a project folder."""

    def __init__(self, folder, *arguments):
        environment = {**os.environ, "FREEHOLD_HOME": os.environ.get("FREEHOLD_HOME", "")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "freehold", *arguments],
            cwd=folder,
            env={key: value for key, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self):
        """What ``--json`` says once all answers; fails with stderr when the command ended first."""
        text = ""
        for line in self.process.stdout:
            text += line
            if line.startswith("}"):
                return json.loads(text)
        raise AssertionError(self.process.stderr.read())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, out, err


@pytest.fixture
def run(tmp_path):
    commands = []

    def start(*arguments):
        commands.append(Command(tmp_path, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.stop()


def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def ask(http, model, text="Where is my order?", **options):
    answer = http.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], max_tokens=16, **options
    )
    return answer.choices[0].message.content


def children_of(process_id):
    import psutil

    return psutil.Process(process_id).children(recursive=True)


def test_up_serves_through_the_gateway_and_leaves_nothing_behind(run, port):
    command = run("up", "--model", "echo", "--port", str(port), "--json")
    told = command.ready()
    assert told == {
        "schema": "freehold.up/1",
        "url": f"http://127.0.0.1:{port}",
        "models": ["echo"],
        "logs": told["logs"],
    }
    children = children_of(command.process.pid)
    with client(told["url"]) as http:
        assert [model.id for model in http.models.list()] == ["echo"]
        assert ask(http, "echo") == "Where is my order?"
        pieces = http.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "one two"}], stream=True
        )
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "one two"
        with pytest.raises(openai.NotFoundError):
            ask(http, "nobody")
    code, _, _ = command.stop()
    assert code == 0
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]


def test_a_start_is_on_record_with_what_it_allows(run, port, tmp_path, monkeypatch):
    options = ("--host", "0.0.0.0", "--without-keys", "--capture", "raw")
    run("up", "--model", "echo", "--port", str(port), "--json", *options).ready()
    monkeypatch.chdir(tmp_path)
    with open_store(open_project().store_url) as store:
        found = {entry.action: entry for entry in audit.entries(store.database)}
    entry = found["gateway.start"]
    assert (entry.detail["host"], entry.detail["without_keys"], entry.detail["capture"]) == (
        "0.0.0.0",
        True,
        "raw",
    )
    assert entry.source.endswith(": up")


def test_up_serves_what_the_project_chose(run, port, tmp_path):
    (tmp_path / ".freehold").mkdir()
    chosen = ServePlan(engine="echo", model="shop", options={"default": "chosen"})
    with open_store(f"sqlite:///{tmp_path / '.freehold' / 'freehold.sqlite'}") as store:
        store.put(chosen)
    told = run("up", "--port", str(port), "--json").ready()
    with client(told["url"]) as http:
        assert ask(http, "shop") == "chosen"


def test_serve_mounts_adapters_by_name(run, port, tmp_path):
    (tmp_path / "tuned.json").write_text('{"hi": "tuned hello"}')
    told = run("serve", "echo", "--adapter", "shop=tuned.json", "--port", str(port), "--json").ready()
    assert told["models"] == ["echo", "echo:shop"]
    with client(told["url"]) as http:
        assert (ask(http, "echo", "hi"), ask(http, "echo:shop", "hi")) == ("hi", "tuned hello")


def test_ctrl_c_while_it_loads_ends_it(run, port, tmp_path):
    command = run("serve", "echo", "--port", str(port))
    time.sleep(0.3)
    code, _, err = command.stop()
    assert code in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert "Traceback" not in err


def test_two_servers_on_one_store_do_not_disturb_each_other(run, tmp_path, port):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = probe.getsockname()[1]
    first = run("serve", "echo", "--port", str(port), "--json")
    first.ready()
    late = run("serve", "echo", "--port", str(port))
    late.process.wait(60)
    code, _, err = late.stop()
    assert code == 2 and f"port {port}" in err and "in use" in err
    second = run("serve", "echo", "--port", str(other), "--json")
    urls = [f"http://127.0.0.1:{port}", second.ready()["url"]]
    for url in urls:
        with client(url) as http:
            assert ask(http, "echo")
    assert second.stop()[0] == 0
    with client(urls[0]) as http:
        assert ask(http, "echo")
    assert first.stop()[0] == 0
    assert not list((tmp_path / ".freehold" / "engines").glob("serving-*.json"))


@pytest.mark.parametrize("change", [{"sha256": "other"}, None])
def test_a_chosen_model_whose_weights_are_gone_is_not_replaced_by_another(tmp_path, monkeypatch, change):
    project = chosen_with_lost_weights(tmp_path, monkeypatch)

    def again(model, *_, **__):
        if change is None:
            raise WeightsError("the hub could not be reached")
        return msgspec.structs.replace(WEIGHTS, **change)

    monkeypatch.setattr(chosen, "ensure_weights", again)
    with pytest.raises(WeightsError, match="the weights that freehold migrate chose are gone"):
        chosen.project_plan(project)


def test_before_anything_was_chosen_the_first_that_writes_text_is_served_as_it_comes(tmp_path, monkeypatch):
    reads = '[[candidates]]\nmodel = "sentence-transformers/all-MiniLM-L6-v2"\nmethod = "encoder"\n'
    writes = '[[candidates]]\nmodel = "org/writes"\nmethod = "lora"\n'
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n' + reads + writes)
    monkeypatch.setattr(chosen, "pull_and_plan", lambda model, *_, **__: model)
    assert chosen.project_plan(open_project(tmp_path)) == "org/writes"
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n' + reads)
    with pytest.raises(UsageError, match="an encoder that is not trained yet") as told:
        chosen.project_plan(open_project(tmp_path))
    assert "--no-engine" in told.value.hint


def test_weights_that_were_removed_are_fetched_again(tmp_path, monkeypatch):
    project = chosen_with_lost_weights(tmp_path, monkeypatch)
    monkeypatch.setattr(chosen, "ensure_weights", lambda model, *_, **__: WEIGHTS)
    plan = chosen.project_plan(project)
    assert (plan.weights_path, plan.adapters[0].name) == ("/now/here.gguf", "org/base:shop")


WEIGHTS = Weights(
    model_id="org/base", format="gguf", quantization="Q4_1", bytes=1, sha256="right", source="file:",
    path="/now/here.gguf",
)  # fmt: skip


def chosen_with_lost_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    project = open_project()
    plan = ServePlan(
        engine="llamacpp",
        model="org/base",
        weights_path=str(tmp_path / "gone.gguf"),
        weights_sha256="right",
        adapters=(AdapterMount(name="org/base:shop", path="/adapters/shop"),),
    )
    with open_store(project.store_url) as store:
        store.put(plan)
    return project


def test_a_saved_file_is_in_force_within_two_seconds_and_no_request_is_dropped(run, port, tmp_path, upstream):
    head = f'[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{upstream.base_url}"\n'
    file = tmp_path / "freehold.toml"
    file.write_text(head + '[capture]\nmode = "raw"\n')
    command = run("up", "--model", "echo", "--port", str(port), "--json")
    command.ready()
    url, stopping, failed, answered = f"http://127.0.0.1:{port}", threading.Event(), [], []

    def load():
        with client(url) as http:
            while not stopping.is_set():
                try:
                    answered.append(ask(http, "gpt-4o"))
                except openai.OpenAIError as error:
                    failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        _within(20, lambda: len(answered) > 20)
        file.write_text(
            head
            + f'[capture]\nmode = "off"\n[[endpoints]]\nname = "house"\nbase_url = "{upstream.base_url}/house"\n'
            + '[[routes]]\nname = "mini"\nmodel = "mini"\nincumbent = { endpoint = "house" }\n'
        )

        def serves():
            try:
                with client(url) as http:
                    return ask(http, "mini")
            except openai.NotFoundError:
                return None

        _within(20, serves)
        with open_store(open_project(file).store_url) as store:
            _within(20, lambda: any(one.action == "gateway.config" for one in audit.entries(store.database)))
            in_force = time.monotonic()
            _within(20, lambda: time.monotonic() - in_force > 2.0)
            kept = len(answered) + 50  # those on their way then are among them at the most
            _within(40, lambda: len(answered) > kept + 50)
    finally:
        stopping.set()
        for one in threads:
            one.join()
    assert not failed
    _, _, err = command.stop()
    assert "in force: [incumbent] and [[endpoints]], [capture] mode" in " ".join(err.split())
    # What was captured is in the store by now, to the last one.
    with open_store(open_project(file).store_url) as store:
        assert store.count_traces(complete_only=False) <= kept


def _within(seconds, claim):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_an_engine_the_incumbent_answers_and_no_weights_are_needed(run, port, tmp_path, upstream):
    (tmp_path / "freehold.toml").write_text(
        f'[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{upstream.base_url}/v1"\n'
    )
    command = run("up", "--no-engine", "--port", str(port), "--json")
    told = command.ready()
    assert told["models"] == []
    names = {" ".join(child.cmdline()) for child in children_of(command.process.pid)}
    assert any("freehold.gateway.worker" in name for name in names)
    assert not any("llama" in name or "freehold.engines" in name for name in names)
    with client(told["url"]) as http:
        assert ask(http, "gpt-4o") == "on its way"
        assert [model.id for model in http.models.list()] == ["gpt-4o"]
    code, _, err = command.stop()
    assert code == 0, err
    assert not (tmp_path / "home").exists()


def test_systemd_is_told_when_it_answers_and_when_it_stops(run, port, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        command = run("up", "--model", "echo", "--port", str(port))
        assert manager.recv(100) == b"READY=1"
        with client(f"http://127.0.0.1:{port}") as http:
            assert ask(http, "echo") == "Where is my order?"
        environments = [child.environ() for child in children_of(command.process.pid)]
        assert environments and not any("NOTIFY_SOCKET" in one for one in environments)
        command.process.send_signal(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        assert command.stop()[0] == 0
