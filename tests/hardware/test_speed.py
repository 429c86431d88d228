"""Roofline estimates: what the engine's build changes, and that measured figures lie inside."""

from pathlib import Path

from freehold.catalog import models
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import bound, estimate
from freehold.types.machine import Accelerator, Machine, Workload

SMOLLM = models.get("HuggingFaceTB/SmolLM2-135M-Instruct").shape


def machine(**changes) -> Machine:
    return Machine(
        **{
            "name": "m", "cores": 2, "memory_bytes": 1 << 34, "available_memory_bytes": 1 << 34, "cpu": "c",
            "isa": ("AVX2", "AVX-512", "AVX-512-VNNI", "AMX-INT8"),
            "memory_bandwidth_bytes_per_second": 25e9, **changes,
        }
    )  # fmt: skip


def test_the_prebuilt_library_is_not_credited_with_what_it_was_not_built_for():
    wheel, native = bound(machine(), "wheel"), bound(machine(), "native")
    assert wheel.flops == 2 * 32 * 2.5e9
    assert native.flops > 10 * wheel.flops
    assert "AVX2 (wheel build)" in wheel.basis
    assert "AMX-INT8 (native build)" in native.basis
    plain = machine(isa=("AVX2",))
    assert bound(plain, "native").flops == bound(plain, "wheel").flops
    assert bound(plain, "native").kind == "cpu"


def test_unknown_rates_give_no_estimate():
    size = weights_bytes(SMOLLM, "Q4_1")
    assert estimate(SMOLLM, size, Workload(), machine(memory_bandwidth_bytes_per_second=None)) is None
    card = Accelerator(kind="nvidia", name="N", memory_bytes=1 << 34)
    assert estimate(SMOLLM, size, Workload(), machine(accelerators=(card,))) is None


def test_a_batch_of_a_mixture_touches_more_experts():
    mixture = models.get("mistralai/Mixtral-8x7B-Instruct-v0.1").shape
    card = Accelerator(
        kind="nvidia", name="N", memory_bytes=1 << 37, bandwidth_bytes_per_second=3e12, bf16_flops=1e15
    )
    size = weights_bytes(mixture, "Q4_K_M")
    one, many = (
        estimate(mixture, size, Workload(concurrency=number), machine(accelerators=(card,)))
        for number in (1, 8)
    )
    gain = many.decode_all_tokens_per_second[1] / one.decode_all_tokens_per_second[1]
    assert 1.5 < gain < 4.5  # a dense model gains nearly eightfold


def test_every_known_figure_is_inside_its_range_and_on_the_page():
    from benchmarks import speed

    rows = speed.known()
    assert len(rows) >= 40
    assert [(row.machine, row.model, row.quantization) for row in rows if not row.inside] == []
    page = Path(__file__).parents[2] / "docs" / "reference" / "speed.md"
    assert page.read_text(encoding="utf-8") == speed.page()
