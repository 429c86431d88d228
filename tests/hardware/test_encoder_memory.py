"""Memory of an encoder: near what was measured, never below it, and growing with what makes it grow."""

import pytest

from freehold.hardware.encoder_memory import EncoderLoad, encoder_parts, fit_encoder
from freehold.types.machine import Machine, Workload

MINILM = EncoderLoad(
    weights_bytes=90_940_144, tokenizer_bytes=466_247, width=384, max_tokens=128, run_tokens=2048
)


def total(load):
    return sum(part.bytes for part in encoder_parts(load))


@pytest.mark.parametrize(("max_tokens", "measured_mib"), [(64, 244), (512, 278)])
def test_it_covers_what_the_process_took(max_tokens, measured_mib):
    """Resident memory after 32 texts of that many tokens at once, with a model of 22 million weights."""
    predicted = total(MINILM._replace(max_tokens=max_tokens)) / 2**20
    assert measured_mib <= predicted <= 1.2 * measured_mib


def test_longer_texts_and_larger_models_take_more():
    assert (
        total(MINILM)
        < total(MINILM._replace(max_tokens=512))
        < total(MINILM._replace(max_tokens=512, width=768))
    )


def test_a_machine_without_room_is_told():
    small = Machine(name="small", cores=1, memory_bytes=1 << 28, available_memory_bytes=1 << 27, cpu="x")
    fit = fit_encoder("m", MINILM, Workload(context_tokens=512), machine=small)
    assert not fit.fits and fit.headroom_bytes < 0 and "do not fit in" in fit.reasons[0]
    large = Machine(name="large", cores=1, memory_bytes=1 << 33, available_memory_bytes=1 << 33, cpu="x")
    fit = fit_encoder("m", MINILM, Workload(context_tokens=512), machine=large)
    assert fit.fits and fit.engine == "encoder" and fit.total_bytes == total(MINILM)
