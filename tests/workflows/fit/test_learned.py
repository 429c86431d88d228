"""A fit that was wrong is corrected once and for all."""

import msgspec
import pytest

from freehold.hardware.fit import fit as compute
from freehold.hardware.memory import ServingLoad
from freehold.types.machine import Machine, Workload
from freehold.types.model import Shape
from freehold.workflows.fit import learned

GIB = 1 << 30


@pytest.fixture
def machine():
    return Machine(
        name="here", cores=2, memory_bytes=8 * GIB, available_memory_bytes=4 * GIB, cpu="x", how={}
    )


@pytest.fixture
def fit(machine):
    shape = Shape(
        architecture="llama",
        layers=2,
        hidden=64,
        heads=4,
        kv_heads=2,
        head_dim=16,
        ffn=128,
        vocabulary=1000,
        context_tokens=2048,
        tied_embeddings=True,
        attention=("full", "full"),
    )
    return compute(
        "m",
        shape,
        ServingLoad(quantization="Q4_0", weights_bytes=GIB, weights_basis="file"),
        Workload(context_tokens=512),
        machine=machine,
    )


def learn(home, machine, more, path="/w/a.gguf", kv_type="f16"):
    return learned.learn_correction(
        home, path, machine, kv_type, more_bytes=more, why="out of memory: no", at="2026-11-25T00:00:00Z"
    )


def test_what_was_learned_is_a_part_of_its_own(tmp_path, machine, fit):
    assert fit.fits and learned.read_correction(tmp_path, "/w/a.gguf", machine, "f16") is None
    learn(tmp_path, machine, 5 * GIB)
    found = learned.corrected(fit, learned.read_correction(tmp_path, "/w/a.gguf", machine, "f16"))
    assert not found.fits and found.total_bytes == fit.total_bytes + 5 * GIB
    assert found.parts[-1].name == "learned" and "2026-11-25" in found.parts[-1].basis
    assert found.headroom_bytes == found.available_bytes - found.total_bytes
    assert "although it should have fitted" in found.reasons[-1]
    assert found.id != fit.id
    assert learned.corrected(fit, None) is fit


def test_a_smaller_load_is_corrected_by_less(tmp_path, machine, fit):
    learned.learn_correction(
        tmp_path,
        "/w/a.gguf",
        machine,
        "f16",
        more_bytes=3 * GIB,
        of_bytes=4 * fit.total_bytes,
        why="w",
        at="2026-11-25",
    )
    correction = learned.read_correction(tmp_path, "/w/a.gguf", machine, "f16")
    assert learned.corrected(fit, correction).parts[-1].bytes == 3 * GIB // 4
    large = msgspec.structs.replace(fit, total_bytes=9 * fit.total_bytes)
    assert learned.corrected(large, correction).parts[-1].bytes == 3 * GIB, "never by more than was seen"


def test_it_is_for_these_weights_this_cache_this_machine(tmp_path, machine):
    learn(tmp_path, machine, GIB)
    other = msgspec.structs.replace(machine, name="there")
    assert learned.read_correction(tmp_path, "/w/a.gguf", other, "f16") is None
    assert learned.read_correction(tmp_path, "/w/a.gguf", machine, "q8_0") is None
    assert learned.read_correction(tmp_path, "/w/b.gguf", machine, "f16") is None
    assert learned.read_correction(tmp_path, None, machine, "f16") is None


def test_it_is_only_ever_raised(tmp_path, machine):
    learn(tmp_path, machine, 2 * GIB)
    assert learn(tmp_path, machine, GIB).more_bytes == 2 * GIB
    assert learn(tmp_path, machine, 3 * GIB).more_bytes == 3 * GIB
