"""Which errors are the client's to repeat."""

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import gateway, plain

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("answered", "asked", "times"),
    [
        ({}, {}, 2),
        ({"retry-after": "1"}, {}, 2),
        ({"retry-after": "30"}, {}, 1),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, 1),
        ({}, {"x-stainless-retry-count": "0"}, 1),
    ],
)
def test_who_repeats_a_request(upstream, tmp_path, answered, asked, times):
    upstream.answer = lambda seen: plain({"error": {}}, status=503, headers=answered)
    with gateway(upstream, tmp_path, retries=1, capture="off") as running:
        assert post(running, QUESTION, headers=asked)[0] == 503
    assert len(upstream.seen) == times
