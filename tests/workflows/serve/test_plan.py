"""Plans: what weights and adapters bring into them."""

import json

import msgspec
import pytest

from freehold.errors import EngineError, InputError, UsageError
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.engine import ENGINE_KINDS
from freehold.workflows.fit import learned
from freehold.workflows.project import open_project
from freehold.workflows.serve import mounts, plan, room


def planned(weights, settings, **options):
    return plan.plan(weights, plan.ServeRequest(engine="llamacpp", options=options), settings)


def test_weights_without_a_template_bring_the_catalogs(base, settings):
    bare = msgspec.structs.replace(base, chat_template="{{ messages }}")
    assert planned(bare, settings).options == {"chat_template": "{{ messages }}"}
    asked = planned(bare, settings, chat_template="mine")
    assert asked.options["chat_template"] == "mine", "what was asked for wins"
    assert planned(base, settings).options == {}
    assert planned(base, settings).weights_sha256 == "a" * 64


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


def test_two_adapters_have_two_names(empty_project, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"")
    with pytest.raises(UsageError, match="two adapters are called echo:shop"):
        plan.plans(empty_project, ["echo"], adapters=[f"shop={tmp_path / 'x.gguf'}"] * 2)


def test_without_a_model_there_is_nothing_to_plan(empty_project):
    with pytest.raises(UsageError, match="no model is named"):
        plan.plans(empty_project, [])


@pytest.mark.parametrize(
    ("model", "engine", "by_name"),
    [
        ("echo", "auto", True),
        ("echo", "llamacpp", True),
        ("llama3.2", "ollama", True),
        ("gpt-4o", "remote", True),
        ("org/m", "echo", True),
        ("org/m", "auto", False),
        ("org/m", "llamacpp", False),
        ("org/m", "vllm", False),
        ("org/m", "nothing", False),
    ],
)
def test_which_engines_are_asked_for_a_model_by_name(model, engine, by_name):
    assert plan.names_its_models(model, engine) == by_name


@pytest.mark.parametrize(
    ("model", "asked", "engine"),
    [("llama3.2", "ollama", "ollama"), ("gpt-4o", "remote", "remote"), ("echo", "llamacpp", "echo")],
)
def test_an_engine_that_keeps_its_models_is_planned_by_name(model, asked, engine, settings):
    mount = AdapterMount(name=f"{model}:a", path="a.gguf")
    request = plan.ServeRequest(engine=asked, context_tokens=64, parallel=2, options={"keep": True})
    made = plan.pull_and_plan(model, request, settings, adapters=[mount])
    assert (made.engine, made.model, made.adapters) == (engine, model, (mount,))
    assert (made.context_tokens, made.parallel, made.options) == (64, 2, {"keep": True})
    assert made.weights_path is made.weights_sha256 is made.memory is None
    assert not list(settings.home.glob("weights/*/*")), "nothing is fetched"


def test_a_plan_carries_its_memory_which_does_not_decide_what_it_is(tiny, settings):
    request = plan.ServeRequest(engine="llamacpp", context_tokens=128, parallel=2)
    made = plan.plan(tiny, request, settings)
    assert made.memory is not None and made.memory_bytes == made.memory.total_bytes > tiny.bytes
    assert made.memory.workload.concurrency == 2 and made.memory.workload.context_tokens == 128
    assert made.identity.memory is None and made.identity.memory_bytes == 0
    assert made.key == msgspec.structs.replace(made, memory=None, port=99).key
    longer = plan.plan(tiny, msgspec.structs.replace(request, context_tokens=1024), settings)
    assert longer.memory_bytes > made.memory_bytes and longer.key != made.key


def test_weights_are_served_under_another_name(tiny, settings):
    made = plan.plan(tiny, plan.ServeRequest(engine="llamacpp"), settings, name="app")
    assert (made.model, made.weights_sha256) == ("app", tiny.sha256)


def test_a_dora_adapter_next_to_another_is_refused(tiny, settings, tmp_path):
    folder = tmp_path / "dora"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "use_dora": True}))
    dora = AdapterMount(name="m:dora", path=str(folder))
    plain = AdapterMount(name="m:plain", path=str(tmp_path / "plain.gguf"))
    request = plan.ServeRequest(engine="llamacpp")
    for adapters in ([plain, dora], [dora, plain]):
        with pytest.raises(UsageError, match="m:dora is a DoRA adapter"):
            plan.plan(tiny, request, settings, adapters=adapters)
    assert plan.plan(tiny, request, settings, adapters=[plain]).adapters == (plain,)


def test_the_template_an_adapter_was_taught_with_is_served(tiny, settings, tmp_path):
    taught = AdapterMount(name="m:a", path=str(tmp_path / "a.gguf"), chat_template="with calls")
    request = plan.ServeRequest(engine="llamacpp", context_tokens=128)
    own = msgspec.structs.replace(tiny, chat_template="the catalog's")
    assert plan.plan(own, request, settings).options["chat_template"] == "the catalog's"
    assert plan.plan(own, request, settings, adapters=[taught]).options["chat_template"] == "with calls"
    asked = msgspec.structs.replace(request, options={"chat_template": "mine"})
    with pytest.raises(UsageError, match="m:a was trained with a chat template of its own"):
        plan.plan(own, asked, settings, adapters=[taught])


PEFT = {"adapter_model.safetensors": "1" * 64}
BOTH = {**PEFT, "adapter.gguf": "2" * 64}


def test_an_adapter_folder_says_which_weights_it_belongs_to(adapter, tmp_path):
    (tmp_path / "adapter.json").write_bytes(msgspec.json.encode(adapter()))
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


def test_an_adapter_that_is_not_there():
    with pytest.raises(InputError, match="no such adapter"):
        mounts.mount("shop=/nowhere/at/all", "m")


@pytest.mark.parametrize(
    ("text", "owner"),
    [("org/b:shop=x", "org/b"), ("org/a:shop=x", "org/a"), ("shop=x", "org/a"), ("org/c:shop=x", "org/a")],
)
def test_an_adapter_belongs_to_the_model_its_name_begins_with(text, owner):
    assert mounts.served_under(text, ["org/a", "org/b"]) == owner


@pytest.mark.parametrize(
    ("engine", "files", "file"),
    [
        ("vllm", BOTH, ""),
        ("vllm", PEFT, ""),
        ("llamacpp", BOTH, "adapter.gguf"),
    ],
    ids=["vLLM", "vLLM without a GGUF", "llama.cpp"],
)
def test_a_trained_adapter_is_attached_in_the_form_its_engine_reads(adapter, tmp_path, engine, files, file):
    mount = mounts.trained_adapter(adapter(files), "base:shop", ENGINE_KINDS[engine])
    assert mount.path == str(tmp_path / file)
    assert (mount.name, mount.adapter_id, mount.base_sha256) == ("base:shop", "a1", "b" * 64)


def test_an_adapter_without_a_gguf_is_not_for_llama_cpp(adapter):
    with pytest.raises(EngineError, match="adapter a1 has no GGUF file, which llamacpp needs") as caught:
        mounts.trained_adapter(adapter(PEFT), "base:shop", ENGINE_KINDS["llamacpp"])
    assert "freehold migrate --fresh" in caught.value.hint


def test_full_fine_tuning_leaves_weights_of_its_own(adapter, base, tmp_path):
    templated = msgspec.structs.replace(base, chat_template="{{ messages }}")
    made = mounts.trained_weights(templated, adapter({"model.gguf": "c" * 64}, method="full"), "base:shop")
    assert (made.model_id, made.path) == ("base:shop", str(tmp_path / "model.gguf"))
    assert (made.sha256, made.quantization) == ("c" * 64, "Q8_0")
    assert made.chat_template == "{{ messages }}" and made.format == "gguf"


def test_an_adapter_that_was_taught_calls_brings_its_template(adapter, base, tmp_path):
    tagged = msgspec.structs.replace(adapter(BOTH), path=str(tmp_path), call_format="tagged")
    (tmp_path / "adapter.json").write_bytes(msgspec.json.encode(tagged))
    with pytest.raises(InputError, match=r"chat_template\.jinja"):
        mounts.mount(f"shop={tmp_path}", "org/base")
    (tmp_path / "chat_template.jinja").write_text("with calls")
    assert mounts.mount(f"shop={tmp_path}", "org/base").chat_template == "with calls"
    assert mounts.trained_adapter(tagged, "m:a", ENGINE_KINDS["llamacpp"]).chat_template == "with calls"
    plain = msgspec.structs.replace(tagged, call_format="template")
    assert mounts.trained_adapter(plain, "m:a", ENGINE_KINDS["llamacpp"]).chat_template is None
    whole = msgspec.structs.replace(tagged, files={"model.gguf": "3" * 64})
    assert mounts.trained_weights(base, whole, "app").chat_template == "with calls"


def llama(weights, **fields):
    return ServePlan(
        engine="llamacpp", model=weights.model_id, weights_path=weights.path, context_tokens=128, **fields
    )


def test_memory_grows_with_streams_cache_and_adapters(tiny, settings):
    def total(**fields):
        return room.fit_of(llama(tiny, **fields), settings).total_bytes

    least = total(parallel=1, kv_type="q8_0")
    assert least < total(parallel=1) < total(parallel=8)
    with_adapter = total(parallel=1, adapters=(AdapterMount(name="m:a", path=tiny.path),))
    assert with_adapter - total(parallel=1) == pytest.approx(tiny.bytes, rel=0.01)


def test_memory_that_cannot_be_computed_is_not_known(base, tiny, settings):
    assert room.fit_of(ServePlan(engine="echo", model="echo"), settings) is None
    assert room.fit_of(llama(base), settings) is None, "the file is not there"
    assert room.fit_of(llama(msgspec.structs.replace(tiny, path=None)), settings) is None


def test_a_load_that_ran_out_of_memory_is_remembered(tiny, settings):
    before = llama(tiny)
    before = msgspec.structs.replace(before, memory=room.fit_of(before, settings))
    wanted = 2 * before.memory_bytes
    room.learn_memory(before, wanted, "out of memory", settings)
    after = room.fit_of(before, settings)
    assert after.total_bytes == wanted and after.parts[-1].name == learned.PART
    room.learn_memory(msgspec.structs.replace(before, memory=after), wanted * 2, "again", settings)
    assert room.fit_of(before, settings).total_bytes == wanted * 2, (
        "what was learned before is not added twice"
    )


def test_a_plan_of_unknown_memory_teaches_nothing(tiny, settings):
    room.learn_memory(llama(tiny), 1 << 40, "out of memory", settings)
    assert not (settings.home / "memory").exists()
