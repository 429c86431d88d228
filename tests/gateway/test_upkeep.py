"""What a worker does besides answering."""

from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import (
    FakeUpstream,
    eventually,
    gateway,
)

from freehold.types.endpoint import Endpoint


def test_an_endpoint_that_was_away_gets_its_requests_back_before_its_pause_is_over(
    upstream, tmp_path, monkeypatch
):
    away = FakeUpstream()
    away.close()
    endpoint = Endpoint(name="away", engine="remote", base_url=away.base_url)
    options = {"endpoints": (endpoint,), "retries": 0, "breaker_failures": 1, "breaker_pause_s": 600}
    with gateway(upstream, tmp_path, **options) as running:
        assert [post(running, QUESTION)[0] for _ in range(3)] == [502, 502, 502]
        monkeypatch.setattr("tests.gateway.loopback.free_port", lambda: away.port)
        back = FakeUpstream()
        try:
            eventually(lambda: post(running, QUESTION)[0] == 200)
            assert [seen.path for seen in back.seen] == ["/v1/chat/completions"]
        finally:
            back.close()
