from freehold.types.choosing import QuantRow
from freehold.types.machine import MeasuredSpeed, Speed, Workload
from freehold.workflows.choose.quants import choose, quants
from freehold.workflows.fit.machine import find_machine


def row(name: str, bits: float, *, fits: bool = True, speed: float | None = None) -> QuantRow:
    rate = (speed or 1.0, speed or 1.0)
    return QuantRow(
        quantization=name, bits_per_weight=bits, weights_bytes=round(bits * 1e9), total_bytes=round(bits * 1e9),
        fits=fits, largest_context_tokens=4096 if fits else None,
        speed=None if speed is None else Speed(
            prefill_tokens_per_second=rate, decode_tokens_per_second=rate, decode_all_tokens_per_second=rate,
            concurrency=1, how="measured", basis="",
        ),
    )  # fmt: skip


def test_the_largest_that_fits_is_taken_and_says_why(settings):
    found = quants(
        "google/gemma-3-27b-it",
        machine=find_machine("RTX 4090", settings),
        workload=Workload(context_tokens=32768),
        settings=settings,
    )
    by_name = {one.quantization: one for one in found.rows}
    assert found.take == "Q5_K_M"
    assert not by_name["Q6_K"].fits
    assert [one.weights_bytes for one in found.rows] == sorted(
        (one.weights_bytes for one in found.rows), reverse=True
    )
    assert any("estimates" in reason for reason in found.reasons)


def test_a_measured_faster_one_wins_where_the_difference_is_clear():
    rows = (row("Q8_0", 8.5, speed=50), row("Q6_K", 6.6, speed=95), row("Q4_K_M", 4.8, speed=100))
    assert choose(rows)[0] == "Q6_K"  # within a tenth of the fastest
    assert "measured here" in choose(rows)[1][0]


def test_measured_speeds_of_this_machine_are_read(settings):
    machine = find_machine(None, settings)
    speed = row("Q4_1", 5.0, speed=123.0).speed
    measured = MeasuredSpeed(
        id="x", model="HuggingFaceTB/SmolLM2-135M-Instruct", engine="llamacpp", weights_sha256=None,
        machine=machine.name, prompt_tokens=512, completion_tokens=64, speed=speed, quantization="Q4_1",
    )  # fmt: skip
    found = quants(
        "SmolLM2-135M-Instruct", machine=machine, workload=Workload(), settings=settings, speeds=(measured,)
    )
    by_name = {one.quantization: one for one in found.rows}
    assert by_name["Q4_1"].speed == speed
    assert by_name["Q4_1"].known == ("freehold models pull HuggingFaceTB/SmolLM2-135M-Instruct",)
    assert by_name["Q8_0"].speed is None  # this machine's bandwidth was not measured, so nothing is said
