import msgspec
import pytest
from benchmarks.speed import HERE

from freehold.catalog import models
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import estimate
from freehold.types.machine import MeasuredSpeed, Speed, Workload
from freehold.workflows.fit.speeds import narrowed


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
