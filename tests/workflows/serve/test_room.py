"""What a plan takes of the machine's memory, and what would make it faster."""

import msgspec
import pytest

from freehold.engines.llamacpp import native
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.fit import learned
from freehold.workflows.serve import plan


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
