from decimal import Decimal

import pytest

from freehold.costs import traffic
from freehold.errors import UsageError
from freehold.settings import load
from freehold.workflows.choose.batching import MachineSpeeds, answer_seconds
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.sizes import size_model


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path)})


def asked(prompt=800, completion=120, **more):
    return traffic.stated(
        requests_per_month=Decimal(10**6),
        prompt_tokens=Decimal(prompt),
        completion_tokens=Decimal(completion),
        **more,
    )


def speeds(settings, usage, machine="L4", model="Qwen/Qwen3-8B"):
    return MachineSpeeds(
        size_model(model, settings=settings), usage, find_machine(machine, settings), settings
    )


def test_the_batch_is_the_largest_that_fits_in_memory_and_time(settings):
    usage = asked()
    found = speeds(settings, usage)
    patient = found.within(10_000)
    assert patient.concurrency == found.most > 8
    assert patient.why == "the most that fit in its memory"
    hurried = found.within(6)
    assert 8 < hurried.concurrency < found.most
    assert hurried.why == "the most that are answered within 6 s each"
    assert answer_seconds(usage, hurried.speed) <= 6
    assert answer_seconds(usage, found.at(hurried.concurrency + 1)) > 6


def test_where_every_batch_takes_too_long_it_is_the_quickest_and_said(settings):
    usage = asked()
    found = speeds(settings, usage)
    batch = found.within(0.5)
    assert "however few are asked, more than the 0.5 s wanted" in batch.why
    others = (answer_seconds(usage, found.at(count)) for count in (1, 2, 4, 8, 16))
    assert answer_seconds(usage, batch.speed) == min(others)


def test_an_answer_takes_its_uncached_prompt_and_its_own_tokens(settings):
    found = speeds(settings, asked())
    speed = found.at(16)
    by_hand = 800 / speed.prefill_tokens_per_second[0] + 120 * 16 / speed.decode_all_tokens_per_second[0]
    assert answer_seconds(asked(), speed) == pytest.approx(by_hand)
    cached = asked(cached_prompt_tokens=Decimal(800), reasoning_tokens=Decimal(60))
    assert answer_seconds(cached, speed) == pytest.approx(60 * 16 / speed.decode_all_tokens_per_second[0])


def test_impossible_times_and_unknown_machines_are_refused(settings):
    with pytest.raises(UsageError, match="an answer within 0 seconds"):
        speeds(settings, asked()).within(0)
    with pytest.raises(UsageError, match="how fast 64GB is, is not known"):
        speeds(settings, asked(), "64GB").within(30)
