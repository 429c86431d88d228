"""Plans: what weights and adapters bring into them."""

import msgspec
import pytest

from freehold.engines.llamacpp import native
from freehold.errors import UsageError
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.fit import learned
from freehold.workflows.project import open_project
from freehold.workflows.serve import plan


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
    changed = open_project(changes=("serve.parallel=2", "serve.context_tokens=64"))
    plan.plans(changed, ["org/m"])
    plan.plans(project, ["echo"])
    assert [(one.engine, one.parallel, one.context_tokens, one.options) for one in asked] == [
        ("vllm", 16, 512, {"compile": True}),
        ("vllm", 2, 64, {"compile": True}),
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


def test_the_template_an_adapter_was_taught_with_is_served(tiny, settings, tmp_path):
    taught = AdapterMount(name="m:a", path=str(tmp_path / "a.gguf"), chat_template="with calls")
    request = plan.ServeRequest(engine="llamacpp", context_tokens=128)
    own = msgspec.structs.replace(tiny, chat_template="the catalog's")
    assert plan.plan(own, request, settings).options["chat_template"] == "the catalog's"
    assert plan.plan(own, request, settings, adapters=[taught]).options["chat_template"] == "with calls"
    asked = msgspec.structs.replace(request, options={"chat_template": "mine"})
    with pytest.raises(UsageError, match="m:a was trained with a chat template of its own"):
        plan.plan(own, asked, settings, adapters=[taught])


def llama(weights, **fields):
    return ServePlan(
        engine="llamacpp", model=weights.model_id, weights_path=weights.path, context_tokens=128, **fields
    )


def test_memory_grows_with_streams_cache_and_adapters(tiny, settings):
    def total(**fields):
        return plan.fit_of_plan(llama(tiny, **fields), settings).total_bytes

    least = total(parallel=1, kv_type="q8_0")
    assert least < total(parallel=1) < total(parallel=8)
    with_adapter = total(parallel=1, adapters=(AdapterMount(name="m:a", path=tiny.path),))
    assert with_adapter - total(parallel=1) == pytest.approx(tiny.bytes, rel=0.01)


def test_memory_that_cannot_be_computed_is_not_known(base, tiny, settings):
    assert plan.fit_of_plan(ServePlan(engine="echo", model="echo"), settings) is None
    assert plan.fit_of_plan(llama(base), settings) is None, "the file is not there"
    assert plan.fit_of_plan(llama(msgspec.structs.replace(tiny, path=None)), settings) is None


def test_a_load_that_ran_out_of_memory_is_remembered(tiny, settings):
    before = llama(tiny)
    before = msgspec.structs.replace(before, memory=plan.fit_of_plan(before, settings))
    wanted = 2 * before.memory_bytes
    plan.learn_memory(before, wanted, "out of memory", settings)
    after = plan.fit_of_plan(before, settings)
    assert after.total_bytes == wanted and after.parts[-1].name == learned.LEARNED_PART
    plan.learn_memory(msgspec.structs.replace(before, memory=after), wanted * 2, "again", settings)
    assert plan.fit_of_plan(before, settings).total_bytes == wanted * 2, (
        "what was learned before is not added twice"
    )


def test_a_plan_of_unknown_memory_teaches_nothing(tiny, settings):
    plan.learn_memory(llama(tiny), 1 << 40, "out of memory", settings)
    assert not (settings.home / "memory").exists()


def test_people_are_told_what_would_be_faster(base, settings, tmp_path, monkeypatch):
    served_by_llama = plan.plan(base, plan.ServeRequest(engine="llamacpp"), settings)
    monkeypatch.setattr(native, "can_help", lambda: native.BuildBenefit(True, "this CPU has amx_int8"))
    monkeypatch.setattr(native, "read", lambda home: None)
    monkeypatch.setattr(plan.vllm, "has_gpu", lambda: True)
    assert "freehold engines install vllm" in plan.speed_advice(served_by_llama, settings)
    monkeypatch.setattr(plan.vllm, "has_gpu", lambda: False)
    assert "freehold engines install llamacpp" in plan.speed_advice(served_by_llama, settings)
    monkeypatch.setattr(native, "read", lambda home: "built")
    monkeypatch.setattr(native, "binary", lambda home: tmp_path)
    monkeypatch.setattr(native, "cpu_flags", lambda: ("avx512f", "amx_int8"))
    monkeypatch.setattr(plan, "quantization_of", lambda path: "Q4_K_M")
    assert "--quant" in plan.speed_advice(served_by_llama, settings)
    monkeypatch.setattr(plan, "quantization_of", lambda path: "Q4_0")
    assert plan.speed_advice(served_by_llama, settings) is None
    monkeypatch.setattr(native, "can_help", lambda: native.BuildBenefit(False, "nothing beyond AVX2"))
    monkeypatch.setattr(native, "read", lambda home: None)
    monkeypatch.setattr(native, "binary", lambda home: None)
    assert plan.speed_advice(served_by_llama, settings) is None, (
        "where building will not help, it is not advised"
    )
    assert plan.speed_advice(plan.plan_by_name(plan.ECHO, plan.ServeRequest(), settings), settings) is None
