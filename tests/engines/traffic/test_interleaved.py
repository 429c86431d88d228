"""Ways to serve under the same load, by turns."""

import pytest

from freehold.engines.traffic import forms
from freehold.engines.traffic.interleaved import drive_interleaved
from freehold.errors import UpstreamError
from freehold.types.endpoint import ServePlan

pytestmark = pytest.mark.anyio


def plan(**options):
    return ServePlan(
        engine="echo", model="m", context_tokens=4096, parallel=4, options={"in_process": True, **options}
    )


async def test_the_faster_way_shows(tmp_path):
    told = []
    fast, slow = await drive_interleaved(
        [plan(delay_ms=5), plan(delay_ms=60)],
        forms("classification", count=32),
        streams=2,
        seconds=0.4,
        rounds=2,
        log_dir=tmp_path,
        tell=lambda done, total: told.append((done, total)),
    )
    assert fast > 1.5 * slow > 0
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_a_slice_without_an_answer_is_made_longer(tmp_path):
    (rate,) = await drive_interleaved(
        [plan(delay_ms=350)], forms("extraction", count=4), streams=1, seconds=0.2, rounds=1, log_dir=tmp_path
    )
    assert rate > 0


async def test_an_engine_that_never_answers_is_told(tmp_path):
    with pytest.raises(UpstreamError, match="answered nothing"):
        await drive_interleaved(
            [plan(failure_rate=1.0)], forms("extraction", count=4), streams=1, seconds=0.1, rounds=1,
            log_dir=tmp_path,
        )  # fmt: skip
