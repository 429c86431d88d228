"""What is told of requests while the gateway runs: log lines and spans, without content."""

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import FakeUpstream, eventually, gateway, plain, stream, stream_of

from freehold.gateway.telemetry import request_log
from freehold.gateway.telemetry.request_log import RequestSummary

pytestmark = pytest.mark.process

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def collector():
    fake = FakeUpstream()
    yield fake
    fake.close()


def lines(folder, event="request"):
    found = [json.loads(line) for line in (folder / "gateway.log").read_text().splitlines()]
    return [line for line in found if line["event"] == event]


def spans(collector):
    found = []
    for sent in collector.seen:
        message = ExportTraceServiceRequest.FromString(sent.body)
        for resource in message.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert names["service.name"] == "shop"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def test_each_request_is_a_line_and_a_span_without_content(upstream, collector, tmp_path, monkeypatch):
    collector.reset()
    collector.answer = lambda seen: plain(b"")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    with gateway(upstream, tmp_path, capture="off", log_requests=True, otel=True) as running:
        _, headers, _ = post(running, {**QUESTION, "user": "ursula"}, headers={"traceparent": PARENT})
        first = headers["x-freehold-request-id"]
        upstream.answer = lambda seen: stream(stream_of("on", " its", " way"))
        post(running, {**QUESTION, "stream": True})
        refused, headers, _ = post(running, b"{", path="/v1/messages")
        assert refused == 400 and headers["x-freehold-request-id"]
        eventually(lambda: len(lines(tmp_path)) == 3 and len(spans(collector)) == 3)
        assert metric(running, "freehold_requests_untold_total") == 0
    told = {line["id"]: line for line in lines(tmp_path)}
    line = told[first]
    assert (line["status"], line["endpoint"], line["model"]) == (200, "incumbent", "m")
    assert 0 < line["ttft_ms"] <= line["total_ms"] and line["at"].endswith("+00:00")
    assert [one["code"] for one in told.values() if one["status"] == 400] == ["400"]
    assert [one["streamed"] for one in told.values() if one.get("streamed")] == [True]
    by_id = {
        attribute.value.string_value: span
        for span in spans(collector)
        for attribute in span.attributes
        if attribute.key == "freehold.request.id"
    }
    span = by_id[first]
    assert span.name == "chat m" and span.trace_id.hex() == PARENT[3:35]
    assert span.parent_span_id.hex() == PARENT[36:52] and span.end_time_unix_nano > span.start_time_unix_nano
    assert set(by_id) == set(told)
    everything = (tmp_path / "gateway.log").read_text().encode() + b"".join(
        one.body for one in collector.seen
    )
    # Not "ada": the hexadecimal digits of ids spell that now and then.
    for secret in (b"Paket", b"on its way", b"ursula", b"127.0.0.1"):
        assert secret not in everything


def test_a_collector_that_is_away_costs_spans_and_nothing_else(upstream, collector, tmp_path, monkeypatch):
    collector.reset()
    collector.answer = lambda seen: plain(b"", delay=30)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with gateway(upstream, tmp_path, capture="off", otel=True, drain_s=1.0) as running:
        for _ in range(20):
            assert post(running, QUESTION, timeout=20)[0] == 200


def test_a_collector_that_refuses_is_counted_and_its_key_is_in_no_log(
    upstream, collector, tmp_path, monkeypatch
):
    collector.reset()
    collector.answer = lambda seen: plain(b"no", status=401)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0LXdvcmQ=")
    with gateway(upstream, tmp_path, capture="off", otel=True) as running:
        post(running, QUESTION)
        eventually(lambda: metric(running, "freehold_requests_untold_total") >= 1)
        assert collector.seen[0].headers["authorization"] == "Basic c2VjcmV0LXdvcmQ="
    assert "c2VjcmV0LXdvcmQ" not in (tmp_path / "gateway.log").read_text()


def attributes_of(ends, **changes):
    values = {"id": "i", "at_ms": 1, "api": "openai", "kind": "chat", "path": "/v1/chat/completions",
              "model": "gpt-4o-mini", "status": 200, "total_ms": 1.0, "ends": ends, **changes}  # fmt: skip
    return request_log._attributes(RequestSummary(**values), "chat")


def test_a_span_has_the_tokens_and_the_model_of_the_answer():
    answer = json.dumps({"id": "c", "model": "gpt-4o-mini-2024-07-18", "choices": [{"finish_reason": "stop"}],
                         "usage": {"prompt_tokens": 9, "completion_tokens": 3,
                                   "prompt_tokens_details": {"cached_tokens": 4}}}).encode()  # fmt: skip
    found = attributes_of((b"", answer))
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.response.model"] == "gpt-4o-mini-2024-07-18"
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (9, 3)
    assert found["gen_ai.usage.cache_read.input_tokens"] == 4
    streamed = attributes_of((b"", b"".join(stream_of("on", " way", usage=True))[-400:]))
    assert (streamed["gen_ai.usage.input_tokens"], streamed["gen_ai.response.model"]) == (9, "m")


def test_what_a_model_wrote_is_never_taken_for_its_name():
    """Tools' arguments are JSON within the answer's JSON in Anthropic's API."""
    wrote = {"type": "tool_use", "input": {"model": "secret-car", "stop_reason": "secret-word"}}
    answer = json.dumps(
        {"id": "m", "content": [wrote], "usage": {"input_tokens": 1, "output_tokens": 2}}
    ).encode()
    found = attributes_of((b"", answer))
    assert "gen_ai.response.model" not in found and "gen_ai.response.finish_reasons" not in found
    assert "secret" not in str(found)
    # Cut off at its beginning, as the end of a long answer is.
    assert "secret" not in str(attributes_of((b"", answer[20:])))
