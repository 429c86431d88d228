import msgspec

from freehold.settings import load
from freehold.types.machine import MeasuredSpeed, Speed, Workload
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.fit.machine import find_machine


def test_what_does_not_fit_says_what_would(settings):
    found = fit_model(
        "Qwen/Qwen3-32B",
        workload=Workload(context_tokens=8192),
        machine=find_machine("RTX 4090", settings),
        settings=settings,
        options=ServingOptions("Q8_0"),
    )
    assert not found.fits
    smaller, *others = found.ways_out
    assert smaller.startswith(("Q4_K_M needs", "Q5_K_M needs"))
    assert any("2 × RTX 4090 24GB hold it, each some of the layers" in way for way in others)
    layers = next(way for way in others if "layers fit on the accelerator" in way)
    assert 30 < int(layers.split()[0]) < 64
    assert found.speed is None


def test_speed_follows_bytes_and_batch(settings):
    box = find_machine("RTX 4090", settings)

    def speed(quantization, concurrency):
        return fit_model(
            "Qwen/Qwen3-8B",
            workload=Workload(concurrency=concurrency),
            machine=box,
            settings=settings,
            options=ServingOptions(quantization),
        ).speed

    one, four_bit, many = speed("Q8_0", 1), speed("Q4_K_M", 1), speed("Q4_K_M", 8)
    assert four_bit.decode_tokens_per_second[0] > 1.5 * one.decode_tokens_per_second[0]
    assert many.decode_all_tokens_per_second[0] > 3 * four_bit.decode_all_tokens_per_second[0]
    assert one.how == "estimated"
    # 1,008 GB/s over 8.2e9 weights at a byte each and a little: 55 to 105 tokens a second
    low, high = one.decode_tokens_per_second
    assert 40 < low < high < 125


def test_the_most_at_once_is_the_last_that_fits(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path)})
    machine = find_machine("RTX 4090", settings)

    def fitted(count):
        asked = Workload(context_tokens=32768, concurrency=count)
        return fit_model("google/gemma-3-27b-it", workload=asked, machine=machine, settings=settings)

    most = fitted(1).largest_concurrency
    assert fitted(most).fits
    assert not fitted(most + 1).fits
    assert fitted(64).largest_concurrency == most


def test_kept_prompts_are_counted_as_the_engine_bounds_them(tiny, settings):
    from freehold.engines.llamacpp.server import LlamaOptions

    found = fit_model(str(tiny), workload=Workload(), settings=settings)
    parts = {part.name: part.bytes for part in found.parts}
    assert parts["prompt_cache"] == LlamaOptions().prompt_cache_mib << 20
    without = fit_model(
        str(tiny), workload=Workload(), settings=settings, options=ServingOptions(prompt_cache_bytes=0)
    )
    assert "prompt_cache" not in {part.name for part in without.parts}


def _speed(quantization, rate):
    return MeasuredSpeed(
        id=str(rate), model="tiny.gguf", engine="llamacpp", weights_sha256=None, machine="here",
        prompt_tokens=512, completion_tokens=64, quantization=quantization,
        speed=Speed(
            prefill_tokens_per_second=(rate, rate), decode_tokens_per_second=(rate, rate),
            decode_all_tokens_per_second=(rate, rate), concurrency=1, how="measured", basis="test",
        ),
    )  # fmt: skip


def test_a_measured_speed_takes_the_estimates_place_for_its_own_weights(tiny, settings):
    machine = msgspec.structs.replace(find_machine("64GB", settings), name="here")

    def fitted(*speeds):
        return fit_model(
            str(tiny),
            workload=Workload(context_tokens=128),
            settings=settings,
            machine=machine,
            speeds=speeds,
        )

    plain, timed = fitted(), fitted(_speed("Q8_0", 5.0), _speed("Q8_0", 7.0), _speed("Q4_0", 9.0))
    assert timed.speed.decode_tokens_per_second == (7.0, 7.0)
    assert timed.speed.how == "measured"
    assert timed.id != plain.id
    assert fitted(_speed("Q4_0", 9.0)) == plain
