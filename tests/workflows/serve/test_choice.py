"""Which engine serves, what a cluster takes, what is found out of an address and of a chat template."""

import struct
from pathlib import Path

import msgspec
import pytest
from tests.gateway.loopback import FakeUpstream, plain

from freehold.engines.vllm.environment import Installation
from freehold.errors import UpstreamError, UsageError
from freehold.gateway.serve import free_port
from freehold.hardware.gguf_header import Header
from freehold.settings import load
from freehold.types.asking import RecordedAsking
from freehold.types.config import AppConfig, ClusterConfig, ProjectConfig
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import AdapterMount, Capabilities, Endpoint, ServePlan
from freehold.types.machine import Accelerator, Fit, Machine, Workload
from freehold.types.model import Weights
from freehold.workflows.project import Project
from freehold.workflows.serve import choice, cluster, tools
from freehold.workflows.serve.choice import Facts, by_table, choose
from freehold.workflows.serve.load import find_endpoint
from freehold.workflows.weights.pull import ensure_weights

MANY = choice.MANY_STREAMS


@pytest.mark.parametrize(
    ("facts", "engine", "why"),
    [
        (Facts("safetensors", 1), "vllm", "safetensors"),
        (Facts("safetensors", 1, bound="x"), "vllm", "safetensors"),
        (Facts("gguf", MANY), "llamacpp", "not installed"),
        (Facts("gguf", 1, vllm_on="cuda", gpu_bytes=125, weights_bytes=100), "vllm", "GPU holds"),
        (Facts("gguf", 1, vllm_on="cuda", gpu_bytes=124, weights_bytes=100), "llamacpp", "too small"),
        (Facts("gguf", 1, vllm_on="cuda", gpu_bytes=999, bound="of llama.cpp"), "llamacpp", "of llama.cpp"),
        (Facts("gguf", MANY - 1, vllm_on="cpu", matrix=True), "llamacpp", "fewer than"),
        (Facts("gguf", MANY, vllm_on="cpu", matrix=True), "vllm", "AMX"),
        (Facts("gguf", MANY, vllm_on="cpu", matrix=False), "llamacpp", "neither"),
    ],
)
def test_each_row_of_the_table(facts, engine, why):
    choice = by_table(facts)
    assert choice.engine == engine
    assert why in choice.why


@pytest.fixture
def weights(tmp_path):
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    tensor = text("w") + struct.pack("<IQQIQ", 2, 64, 1000, 1, 0)  # 64,000 numbers in 16 bits
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor + b"\0" * 128_200)
    return Weights(
        model_id="org/m", format="gguf", quantization="F16", bytes=1, sha256="a", source="", path=str(file)
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """``here(device, isa, gpu_bytes)`` makes a machine that has vLLM on that device."""

    def make(device, isa=("AMX-BF16",), gpu_bytes=0):
        installed = Installation(
            flavour="x", version="1", python="p", torch="", transformers="", device=device, bytes=0
        )
        gpus = (Accelerator(kind="nvidia", name="G", memory_bytes=gpu_bytes),) if gpu_bytes else ()
        machine = Machine(
            name="m", cores=2, memory_bytes=1, available_memory_bytes=1, cpu="c", isa=isa, accelerators=gpus
        )
        monkeypatch.setattr(choice.vllm, "find", lambda home: installed)
        monkeypatch.setattr(choice, "probe_machine", lambda home: machine)
        return load({"FREEHOLD_HOME": str(tmp_path / "home")})

    return make


def test_the_facts_are_those_of_the_machine_and_the_weights(weights, here):
    settings = here("cpu")
    assert choose("auto", weights, settings, streams=MANY).engine == "vllm"
    assert choose("auto", weights, settings, streams=4).engine == "llamacpp"
    assert choose("auto", weights, here("cpu", isa=("AVX2",)), streams=MANY).engine == "llamacpp"
    assert choose("auto", weights, here("cuda", gpu_bytes=160_000)).engine == "vllm"
    assert choose("auto", weights, here("cuda", gpu_bytes=159_999)).engine == "llamacpp"


@pytest.mark.parametrize(
    "asked",
    [
        {"quantization": "Q4_0"},
        {"kv_type": "q8_0"},
        {"options": {"speculative": "ngram-simple"}},
    ],
)
def test_what_only_llamacpp_can_do_binds_to_it(weights, here, asked):
    assert choose("auto", weights, here("cpu"), streams=MANY, **asked).engine == "llamacpp"


def test_an_adapter_that_vllm_cannot_read_binds_to_llamacpp(weights, here, tmp_path):
    mount = AdapterMount(name="org/m:a", path=str(tmp_path))
    assert choose("auto", weights, here("cpu"), streams=MANY, adapters=[mount]).engine == "llamacpp"
    (tmp_path / "adapter_model.safetensors").touch()
    assert choose("auto", weights, here("cpu"), streams=MANY, adapters=[mount]).engine == "vllm"


def test_without_vllm_nothing_changes_and_names_are_taken_as_they_are(weights, tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path / "home")})
    assert choose("auto", weights, settings, streams=MANY).engine == "llamacpp"
    folder = msgspec.structs.replace(weights, format="safetensors")
    assert choose("auto", folder, settings).engine == "vllm"
    assert choose("ollama", weights, settings).engine == "ollama"
    with pytest.raises(UsageError, match="no engine is called 'llama'"):
        choose("llama", weights, settings)


GIB = 1 << 30


@pytest.fixture
def weights_of_cluster(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    return str(path)


@pytest.fixture
def made(tmp_path, weights_of_cluster):
    """A plan of two replicas; fields change `[cluster]`."""

    def make(serve=None, **fields):
        config = {"replicas": 2, "cpus": 1.5, **fields}
        project = Project(tmp_path, ProjectConfig(app=AppConfig(name="Support Intents!")), load(), None)
        mounts = (AdapterMount(name="org/base:shop", path="/adapters/shop"),)
        serve = serve or ServePlan(
            engine="llamacpp", model="org/base", weights_path=weights_of_cluster, adapters=mounts, parallel=3
        )
        return cluster.plan(project, serve, ClusterConfig(**config))

    return make


def test_the_plan_names_itself_and_what_it_needs(made, tmp_path):
    plan = made()
    assert plan.name == "freehold-support-intents"
    assert plan.serve.threads == 1 and made(cpus=8).serve.threads == 8, "as many as it has cores"
    assert made().memory_bytes == cluster.BASE_BYTES + 1200
    with pytest.raises(UsageError, match="runs elsewhere already"):
        made(ServePlan(engine="ollama", model="m"))


def test_memory_holds_the_cache_too(tmp_path, made, weights_of_cluster):
    fit = Fit(
        id="fit",
        model="org/base",
        quantization="",
        machine="here",
        workload=Workload(),
        parts=(),
        total_bytes=7 * GIB,
        available_bytes=16 * GIB,
        headroom_bytes=9 * GIB,
        fits=True,
        reasons=(),
    )
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights_of_cluster, memory=fit)
    assert made(serve).memory_bytes == 7 * GIB


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
        (401, b"{}", "answered 401", "--api-key-env NAME"),
        (404, b"{}", "answered 404", "OpenAI-compatible"),
        (200, b"<html>", "lists no models", "OpenAI-compatible"),
        (200, b'{"models": []}', "lists no models", "OpenAI-compatible"),
        (200, b'{"data": []}', "lists no models", "is a model loaded there"),
    ],
)
def test_what_is_wrong_there_is_told(server, status, body, message, hint):
    answer, _, url = server
    answer[:] = [status, body]
    with pytest.raises(UpstreamError, match=message) as caught:
        find_endpoint(url)
    assert hint in caught.value.hint


def test_an_address_where_nothing_answers():
    with pytest.raises(UpstreamError, match="nothing answers at"):
        find_endpoint(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UsageError, match="localhost:1"):
        find_endpoint("localhost:1")


PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
WITH_TOOLS = "{%- if tools %}{{ tools | tojson }}{% endif %}" + PLAIN
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def sample(choice=None, offered=True):
    asking = None if choice is None else RecordedAsking(tool_choice=choice)
    return Sample(
        id="s",
        messages=(Message(role="user", content="where?"),),
        tools=[TOOL] if offered else None,
        asking=asking,
    )


NAMED = {"type": "function", "function": {"name": "find"}}
FORCED = [
    sample("required"),
    sample(NAMED),
    sample("auto"),
    sample("none"),
    sample(),
    sample("required", False),
]


@pytest.mark.parametrize(
    ("template", "knows"),
    [
        (PLAIN, False),
        (WITH_TOOLS, True),
        ("{% set tools = [] %}" + PLAIN, False),
        ("{# tools #}" + PLAIN, False),
        ("{% generation %}{{ tools }}{% endgeneration %}", None),
        ("{{ tools", None),
    ],
)
def test_a_template_knows_tools_when_it_reads_them(template, knows):
    assert tools.knows_tools(template) is knows


def test_a_template_is_never_run():
    assert tools.knows_tools("{% for x in range(10 ** 12) %}{{ x }}{% endfor %}{{ 1 / 0 }}") is False


def test_what_demands_a_call_is_counted():
    assert tools.demanding(FORCED) == (2, 6)
    assert tools.demanding([]) == (0, 0)


def plan(engine="llamacpp", **changes):
    return ServePlan(engine=engine, model="org/m", **changes)


def test_a_plan_whose_template_knows_no_tools_is_told(tmp_path, monkeypatch):
    told = tools.unmet(plan(options={"chat_template": PLAIN}), FORCED)
    assert told is not None and told.startswith("2 of 6 requests demand a tool call (tool_choice)")
    assert "org/m knows no tools: llama.cpp" in told
    assert tools.unmet(plan(options={"chat_template": WITH_TOOLS}), FORCED) is None
    assert tools.unmet(plan(options={"chat_template": PLAIN}), [sample("auto")]) is None
    # An engine that refuses by itself, or holds the demand, and weights of which nothing is known.
    assert tools.unmet(plan("vllm", options={"chat_template": PLAIN}), FORCED) is None
    assert tools.unmet(plan(weights_path="/nowhere/m.gguf"), FORCED) is None
    monkeypatch.setattr(
        tools, "read_header", lambda path: Header(str(path), {"tokenizer.chat_template": PLAIN}, (), 1)
    )
    assert tools.unmet(plan(weights_path=str(tmp_path / "m.gguf")), FORCED) is not None


def test_an_endpoint_is_told_by_what_it_says_it_can_do():
    where = Endpoint(name="e", engine="llamacpp", base_url="http://x")
    assert "2 of 6" in (tools.unmet_at(where, "m", FORCED) or "")
    able = Endpoint(name="e", engine="llamacpp", base_url="http://x", capabilities=Capabilities(tools=True))
    assert tools.unmet_at(able, "m", FORCED) is None
    assert tools.unmet_at(Endpoint(name="e", engine="remote", base_url="http://x"), "m", FORCED) is None


@pytest.mark.weights
def test_real_weights_say_it_in_their_file():
    weights = ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())
    assert tools.knows_tools(tools.template_in(Path(weights.path))) is False
