import pytest
from aiohttp import web
from tests.evals.chat.conftest import run, said

from freehold.errors import UpstreamError, UsageError
from freehold.evals.replay import Budget
from freehold.types.endpoint import Endpoint, ServedModel


@pytest.mark.parametrize("streaming", [True, False])
def test_answers_come_in_order_with_usage_and_times(serve, samples, streaming):
    results, server = run(serve, said, samples(20), concurrency=4, streaming=streaming)
    assert [one.output for one in results] == [str(i) for i in range(20)]
    assert all(one.score.value == 1.0 for one in results)
    assert results[0].usage.prompt_tokens == 7
    assert results[0].total_ms > 0
    assert (results[0].ttft_ms is not None) is streaming
    assert server.most_in_flight <= 4
    assert server.seen[0]["max_tokens"] == 9
    assert server.seen[0]["temperature"] == 0.0


def test_extra_body_of_the_served_model_is_sent(serve, samples):
    served = ServedModel(name="base:ad", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1.0}]})

    def with_adapter(endpoint):
        return Endpoint(name="e", engine="llamacpp", base_url=endpoint.base_url, models=(served,))

    _, server = run(serve, said, samples(1), endpoint=with_adapter, model="base:ad")
    assert server.seen[0]["model"] == "base"
    assert server.seen[0]["lora"] == [{"id": 0, "scale": 1.0}]
    with pytest.raises(UsageError, match="does not serve other"):
        run(serve, said, samples(1), endpoint=with_adapter, model="other")


def test_refusing_everything_is_an_error_not_a_verdict(serve, samples):
    def refuse(body, attempt):
        return web.json_response({"error": {"message": "no"}}, status=400)

    with pytest.raises(UpstreamError, match="refuses every request: refused_request: 400 no"):
        run(serve, refuse, samples(3))


def test_the_budget_caps_requests_and_says_so(serve, samples):
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(requests=4))
    assert len(server.seen) == 4
    assert results[5].score.value is None
    assert results[5].score.reason.startswith("budget_spent")
    results, server = run(serve, said, samples(6), concurrency=1, budget=Budget(tokens=15))
    assert len(server.seen) == 2
