"""A fit that was wrong is corrected once and for all."""

import msgspec
import pytest
from benchmarks.speed import HERE

from freehold.catalog import models
from freehold.hardware.fit import fit as compute
from freehold.hardware.memory import ServingLoad
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import estimate
from freehold.types.machine import Machine, MeasuredSpeed, Speed, Workload
from freehold.types.model import Shape
from freehold.workflows.fit import learned
from freehold.workflows.fit.learned import narrowed

GIB = 1 << 30


@pytest.fixture
def machine():
    return Machine(
        name="here", cores=2, memory_bytes=8 * GIB, available_memory_bytes=4 * GIB, cpu="x", how={}
    )


@pytest.fixture
def fit(machine):
    shape = Shape(
        architecture="llama", layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn=128, vocabulary=1000,
        context_tokens=2048, tied_embeddings=True, attention=("full", "full"),
    )  # fmt: skip
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
        tmp_path, "/w/a.gguf", machine, "f16", more_bytes=3 * GIB, of_bytes=4 * fit.total_bytes, why="w",
        at="2026-11-25",
    )  # fmt: skip
    correction = learned.read_correction(tmp_path, "/w/a.gguf", machine, "f16")
    assert learned.corrected(fit, correction).parts[-1].bytes == 3 * GIB // 4
    large = msgspec.structs.replace(fit, total_bytes=9 * fit.total_bytes)
    assert learned.corrected(large, correction).parts[-1].bytes == 3 * GIB, "never by more than was seen"


def test_a_correction_is_for_these_weights_this_cache_this_machine_and_only_ever_raised(tmp_path, machine):
    learn(tmp_path, machine, GIB)
    other = msgspec.structs.replace(machine, name="there")
    assert learned.read_correction(tmp_path, "/w/a.gguf", other, "f16") is None
    assert learned.read_correction(tmp_path, "/w/a.gguf", machine, "q8_0") is None
    assert learned.read_correction(tmp_path, "/w/b.gguf", machine, "f16") is None
    assert learned.read_correction(tmp_path, None, machine, "f16") is None
    learn(tmp_path, machine, 2 * GIB)
    assert learn(tmp_path, machine, GIB).more_bytes == 2 * GIB
    assert learn(tmp_path, machine, 3 * GIB).more_bytes == 3 * GIB


def speed(id, rate, *, model="org/Model", quantization="Q8_0", machine="here"):
    rates = (rate, rate)
    return MeasuredSpeed(
        id=id,
        model=model,
        engine="llamacpp",
        weights_sha256=None,
        machine=machine,
        prompt_tokens=512,
        completion_tokens=64,
        quantization=quantization,
        speed=Speed(
            prefill_tokens_per_second=rates,
            decode_tokens_per_second=rates,
            decode_all_tokens_per_second=rates,
            concurrency=1,
            how="measured",
            basis="test",
        ),
    )


SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
XEON = {"Q4_0": (1360, 239), "Q4_1": (1320, 217), "Q8_0": (1370, 161)}
"""Reads and writes measured on `HERE`, native build (benchmarks/measured_speeds.csv)."""


def timed(quantization, *, build="native", model=SMOLLM):
    one = speed(quantization, 0.0, model=model, quantization=quantization, machine=HERE.name)
    reads, writes = XEON[quantization]
    rates = msgspec.structs.replace(
        one.speed,
        prefill_tokens_per_second=(reads, reads),
        decode_tokens_per_second=(writes, writes),
        decode_all_tokens_per_second=(writes, writes),
    )
    return msgspec.structs.replace(one, speed=rates, build=build)


def guessed(quantization):
    shape = models.get(SMOLLM).shape
    found = estimate(
        shape, weights_bytes(shape, quantization), Workload(context_tokens=576), HERE, build="native"
    )
    assert found is not None
    return found


@pytest.mark.parametrize(("known", "other"), [("Q4_0", "Q8_0"), ("Q8_0", "Q4_0"), ("Q4_1", "Q8_0")])
def test_one_measured_model_narrows_the_estimates_of_others(known, other):
    wide = guessed(other)
    near = narrowed(wide, (other, 140_000_000), [timed(known)], HERE, "native")
    reads, writes = XEON[other]
    assert near.prefill_tokens_per_second[0] <= reads <= near.prefill_tokens_per_second[1]
    assert near.decode_tokens_per_second[0] <= writes <= near.decode_tokens_per_second[1]
    assert near.decode_tokens_per_second[1] / near.decode_tokens_per_second[0] < 1.9
    assert wide.decode_tokens_per_second[1] / wide.decode_tokens_per_second[0] > 3
    assert near.how == "estimated"
    assert near.basis.endswith(f"narrowed by {SMOLLM} {known}, which was measured here")


def test_what_is_of_another_kind_build_machine_or_model_narrows_nothing():
    wide = guessed("Q8_0")
    elsewhere = msgspec.structs.replace(timed("Q4_0"), machine="there")
    unlike = [timed("Q4_0", build="wheel"), timed("Q4_0", model="org/unknown"), elsewhere]
    assert narrowed(wide, ("Q8_0", 1), unlike, HERE, "native") == wide
    assert narrowed(wide, ("Q4_K_M", 1), [timed("Q4_0")], HERE, "native") == wide
