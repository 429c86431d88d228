"""What a plan takes of the machine's memory, and what would make it faster."""

import msgspec
import pytest

from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.fit import learned
from freehold.workflows.serve import room


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
