"""Plans: what weights and adapters bring into them."""

import json
import os
import signal
import socket
import threading
import time
import urllib.request

import msgspec
import pytest
from click.testing import CliRunner

from freehold import engines
from freehold.cli.main import cli
from freehold.engines.llamacpp import native
from freehold.errors import EngineError, InputError, MissingExtraError, PortInUseError, UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, FinetuneConfig, ProjectConfig
from freehold.types.endpoint import ServePlan
from freehold.types.machine import Fit, Workload
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.types.training import Adapter
from freehold.workflows.project import Project, open_project
from freehold.workflows.serve import mounts, plan, room, serve, served
from freehold.workflows.serve.hold import Sharing

WEIGHTS = Weights(
    model_id="org/base",
    format="gguf",
    quantization="Q4_1",
    bytes=1,
    sha256="a" * 64,
    source="file:base.gguf",
    path="/weights/base.gguf",
)


def planned(weights, settings, **options):
    return plan.plan(weights, plan.ServeRequest(engine="llamacpp", options=options), settings)


def test_weights_without_a_template_bring_the_catalogs(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    bare = msgspec.structs.replace(WEIGHTS, chat_template="{{ messages }}")
    assert planned(bare, settings).options == {"chat_template": "{{ messages }}"}
    asked = planned(bare, settings, chat_template="mine")
    assert asked.options["chat_template"] == "mine", "what was asked for wins"
    assert planned(WEIGHTS, settings).options == {}
    assert planned(WEIGHTS, settings).weights_sha256 == "a" * 64


def test_what_cannot_work_is_told_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []

    class Shown(Silent):
        def say(self, text):
            said.append(text)

        step = update = lambda self, *_, **__: said.append("step")

    plan = ServePlan(engine="echo", model="echo", options={"anwers": {}})
    with pytest.raises(UsageError, match="unknown option anwers"):
        serve.serve(open_project(), [plan], port=free_port(), ready=lambda _: None, progress=Shown())
    assert said == []


ECHO = ServePlan(engine="echo", model="echo")
FIT = Fit(
    id="fit",
    model="echo",
    quantization="",
    machine="here",
    workload=Workload(),
    parts=(),
    total_bytes=2 << 30,
    available_bytes=16 << 30,
    headroom_bytes=14 << 30,
    fits=True,
    reasons=(),
)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"pinned": ("other",)}, "other is not among the models served"),
        ({"preload": ("other",)}, "other is not among the models served"),
        ({"budget_bytes": 1 << 30}, "need 2.00 GiB, 1.00 GiB are available"),
        ({"budget_bytes": 1 << 30, "idle_seconds": 300.0}, "needs 2.00 GiB, 1.00 GiB are available"),
    ],
)
def test_what_is_asked_of_one_model_counts_too(tmp_path, monkeypatch, asked, message):
    monkeypatch.chdir(tmp_path)
    known = msgspec.structs.replace(ECHO, memory=FIT)
    with pytest.raises((UsageError, EngineError), match=message):
        serve.serve(
            open_project(), [known], port=free_port(), ready=lambda _: None, progress=Silent(), with_gateway=False,
            sharing=Sharing(**asked),
        )  # fmt: skip


def test_several_models_are_served_from_a_folder_that_never_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ready = []

    def on_ready(running):
        ready.append(running.models)
        os.kill(os.getpid(), signal.SIGINT)

    two = [ECHO, msgspec.structs.replace(ECHO, model="other")]
    serve.serve(open_project(), two, port=free_port(), ready=on_ready, progress=Silent())
    assert ready == [("echo", "other")]


def test_one_model_leaves_when_it_is_idle_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    def states(until):
        # As long as it takes; a state that never comes fails by the test's own time limit.
        while not seen or seen[-1] != until:
            _, (model,) = served.status(open_project())
            seen.append(model.state)
            time.sleep(0.05)

    def use(running):
        try:
            states("unloaded")
            body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
            asked = urllib.request.Request(
                f"{running.url}/v1/chat/completions",
                json.dumps(body).encode(),
                {"content-type": "application/json"},
            )
            seen.append(json.loads(urllib.request.urlopen(asked).read())["choices"][0]["message"]["content"])
            states("ready")
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    serve.serve(
        open_project(),
        [ECHO],
        port=free_port(),
        ready=lambda running: threading.Thread(target=use, args=(running,)).start(),
        progress=Silent(),
        with_gateway=False,
        sharing=Sharing(idle_seconds=1.2),
    )
    assert seen[0] == "ready", "loaded before it is asked for"
    assert seen[-2:] == ["hello", "ready"] and "unloaded" in seen


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


def test_the_table_of_the_project_is_what_nobody_says_otherwise(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "a"\n[serve]\nengine = "vllm"\nparallel = 16\ncontext_tokens = 512\n'
        "options = { compile = true }\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(plan, "pull_and_plan", lambda model, request, settings, **_: asked.append(request))
    project = open_project()
    plan.plans(project, ["org/m"])
    plan.plans(project, ["org/m"], plan.ServeRequest(parallel=2, context_tokens=64), engine="llamacpp")
    plan.plans(project, ["echo"])
    assert [(one.engine, one.parallel, one.context_tokens, one.options) for one in asked] == [
        ("vllm", 16, 512, {"compile": True}),
        ("llamacpp", 2, 64, {}),  # options of another engine are left out
        ("auto", 16, 512, {}),
    ]


def test_an_adapter_folder_says_which_weights_it_belongs_to(tmp_path):
    adapter = Adapter(
        id="a1",
        name="shop",
        path=str(tmp_path),
        base_model="org/base",
        base_sha256="b" * 64,
        dataset_id="d",
        config=FinetuneConfig(),
        template_sha256="t",
        seed=0,
        steps=1,
        train_tokens=1,
        train_seconds=1.0,
        final_loss=0.1,
        peak_memory_bytes=None,
        files={},
        versions={},
        made_from=(),
    )
    (tmp_path / "adapter.json").write_bytes(msgspec.json.encode(adapter))
    found = mounts.mount(f"shop={tmp_path}", "org/base")
    assert (found.name, found.adapter_id, found.base_sha256) == ("org/base:shop", "a1", "b" * 64)
    assert mounts.mount(f"other:name={tmp_path}", "org/base").name == "other:name"
    (tmp_path / "adapter.json").write_text("{")
    with pytest.raises(InputError, match="not an adapter's manifest"):
        mounts.mount(f"shop={tmp_path}", "org/base")


@pytest.mark.parametrize("text", ["shop", "=path", "shop="])
def test_an_adapter_is_name_and_path(text):
    with pytest.raises(UsageError, match="is not NAME=PATH"):
        mounts.mount(text, "m")


def test_two_adapters_have_two_names(tmp_path):
    project = open_project_at(tmp_path)
    (tmp_path / "x.gguf").write_bytes(b"")
    with pytest.raises(UsageError, match="two adapters are called echo:shop"):
        plan.plans(project, ["echo"], adapters=[f"shop={tmp_path / 'x.gguf'}"] * 2)


def open_project_at(folder):
    return Project(folder, ProjectConfig(app=AppConfig(name="a")), load(), None)


def test_an_adapter_that_is_not_there():
    with pytest.raises(InputError, match="no such adapter"):
        mounts.mount("shop=/nowhere/at/all", "m")


def test_an_engine_that_is_not_here_is_told_before_the_work(tmp_path, monkeypatch):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    with pytest.raises(EngineError, match="vLLM is not installed") as caught:
        engines.load("vllm").require({}, settings)
    assert "freehold engines install vllm" in caught.value.hint
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the llama\.cpp engine") as caught:
        engines.load("llamacpp").require({"binary": "library"}, settings)
    assert "freehold[local]" in caught.value.hint
    engines.load("echo").require({}, settings)


def test_people_are_told_what_would_be_faster(tmp_path, monkeypatch):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    served_by_llama = planned(WEIGHTS, settings)
    monkeypatch.setattr(native, "can_help", lambda: native.BuildBenefit(True, "this CPU has amx_int8"))
    monkeypatch.setattr(native, "read", lambda home: None)
    monkeypatch.setattr(room.vllm, "has_gpu", lambda: True)
    assert "freehold engines install vllm" in room.advice(served_by_llama, settings)
    monkeypatch.setattr(room.vllm, "has_gpu", lambda: False)
    assert "freehold engines install llamacpp --native" in room.advice(served_by_llama, settings)
    monkeypatch.setattr(native, "read", lambda home: "built")
    monkeypatch.setattr(native, "binary", lambda home: tmp_path)
    monkeypatch.setattr(native, "cpu_flags", lambda: ("avx512f", "amx_int8"))
    monkeypatch.setattr(room, "quantization_of", lambda path: "Q4_K_M")
    assert "tune-engine org/base" in room.advice(served_by_llama, settings)
    monkeypatch.setattr(room, "quantization_of", lambda path: "Q4_0")
    assert room.advice(served_by_llama, settings) is None
    monkeypatch.setattr(native, "can_help", lambda: native.BuildBenefit(False, "nothing beyond AVX2"))
    monkeypatch.setattr(native, "read", lambda home: None)
    monkeypatch.setattr(native, "binary", lambda home: None)
    assert room.advice(served_by_llama, settings) is None, "where building will not help, nobody is told to"
    assert room.advice(plan.plan_by_name(plan.ECHO, plan.ServeRequest(), settings), settings) is None
