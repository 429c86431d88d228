"""What is told of a gateway while it runs, without content and bounded: log lines, spans, metrics."""

import json
import os
import signal
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import FakeUpstream, eventually, gateway, plain, processes, stream, stream_of

from freehold.gateway.telemetry import meters, request_log
from freehold.gateway.telemetry.exposition import GAUGES, LABELLED_GAUGES, exposition, standing
from freehold.gateway.telemetry.log_file import KEPT, look
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import RequestSummary
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, Target

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


@pytest.mark.process
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


@pytest.mark.process
def test_a_collector_that_is_away_costs_spans_and_nothing_else(upstream, collector, tmp_path, monkeypatch):
    collector.reset()
    collector.answer = lambda seen: plain(b"", delay=30)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with gateway(upstream, tmp_path, capture="off", otel=True, drain_s=1.0) as running:
        for _ in range(20):
            assert post(running, QUESTION, timeout=20)[0] == 200


@pytest.mark.process
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


def test_a_span_has_the_tokens_of_the_answer():
    answer = json.dumps({"id": "c", "model": "gpt-4o-mini-2024-07-18", "choices": [{"finish_reason": "stop"}],
                         "usage": {"prompt_tokens": 9, "completion_tokens": 3,
                                   "prompt_tokens_details": {"cached_tokens": 4}}}).encode()  # fmt: skip
    found = attributes_of((b"", answer))
    assert found["gen_ai.provider.name"] == "openai"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (9, 3)
    assert found["gen_ai.usage.cache_read.input_tokens"] == 4
    streamed = attributes_of((b"", b"".join(stream_of("on", " way", usage=True))[-400:]))
    assert streamed["gen_ai.usage.input_tokens"] == 9


def test_what_a_model_wrote_is_in_no_span():
    """Tools' arguments are JSON within the answer's JSON in Anthropic's API."""
    wrote = {"type": "tool_use", "input": {"model": "secret-car", "stop_reason": "secret-word"}}
    answer = json.dumps(
        {"id": "m", "content": [wrote], "usage": {"input_tokens": 1, "output_tokens": 2}}
    ).encode()
    found = attributes_of((b"", answer))
    assert "secret" not in str(found)
    # Cut off at its beginning, as the end of a long answer is.
    assert "secret" not in str(attributes_of((b"", answer[20:])))


@pytest.fixture
def output(tmp_path):
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    yield file
    os.close(file)


def test_a_long_file_is_renamed_and_few_are_kept(tmp_path, output):
    path = tmp_path / "log"
    for turn in range(6):
        os.write(output, b"%d" % turn * 100)
        look(path, rotated_bytes=99, outputs=(output,))
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["log", *(f"log.{number}" for number in range(1, KEPT + 1))]
    assert path.read_bytes() == b"" and (tmp_path / "log.1").read_bytes() == b"5" * 100
    look(path, rotated_bytes=99, outputs=(output,))
    assert not (tmp_path / "log.4").exists()


@pytest.mark.process
def test_a_rotation_that_signals_every_process_ends_none(upstream, tmp_path):
    """As logrotate does it with `postrotate`: rename, then SIGHUP."""
    log = tmp_path / "gateway.log"
    with gateway(upstream, tmp_path, log_requests=True, workers=2) as running:
        post(running, QUESTION)
        eventually(lambda: '"request"' in log.read_text())
        before = {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}
        for turn in range(3):
            log.rename(tmp_path / f"gateway.log.{turn + 1}")
            for pid in (running.process.pid, *before):
                os.kill(pid, signal.SIGHUP)
            eventually(log.exists)

            def goes_on():
                post(running, QUESTION)
                return '"request"' in log.read_text()

            eventually(goes_on)
        assert before == {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_every_metric_is_documented():
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): (row[2].strip(), row[3].strip()) for row in rows}
    labelled = {
        **meters.COUNTERS,
        **meters.HISTOGRAMS,
        **LABELLED_GAUGES,
        **{name: (text, ()) for name, text in GAUGES.items()},
    }
    assert documented == {name: (text, ", ".join(labels)) for name, (text, labels) in labelled.items()}


def test_what_clients_may_choose_makes_a_bounded_number_of_series():
    numbers = Meters()
    for number in range(500):
        label = numbers.model_label(f"model-{number}")
        numbers.count_answer("", "e", "incumbent", 200, None, 0.01, label, numbers.key_label(f"key-{number}"))
    assert numbers.model_label("x" * 10_000) == meters.OTHER == numbers.model_label("model-400")
    counted = numbers.snapshot().counters["freehold_model_requests"]
    assert len(counted) == meters.LABEL_VALUES_MAX + 1 and sum(value for _, value in counted) == 500
    assert dict(counted)["", "incumbent", "other", "other", "200"] == 400
    assert sum(value for _, value in numbers.snapshot().counters["freehold_requests"]) == 500


def route(state, **changes):
    values = {"name": "r", "model": "m", "incumbent": Target(endpoint="i"), "candidate": Target(endpoint="c"),
              "canary_share": 0.2, "shadow_share": 0.5, "state": state, **changes}  # fmt: skip
    return Route(**values)


def test_what_an_operator_asks_is_answered():
    capped = ApiKey(
        name="app", hash="h", limits=Limits(usd_per_day=Decimal("2.5"), usd_per_month=Decimal(40))
    )
    keys = [capped, ApiKey(name="free", hash="g"), ApiKey(name="old", hash="f", limits=capped.limits,
            revoked_at=datetime(2026, 1, 1, tzinfo=UTC))]  # fmt: skip
    now = standing(
        [route("canary", limits=Limits(usd_per_day=Decimal(9)))],
        keys,
        [
            LabelLimits(label="search", limits=Limits(usd_per_month=Decimal(500))),
            LabelLimits(label="free", limits=Limits(requests_per_minute=60)),
        ],
        spent={
            "label:search": (Decimal(2), Decimal(30)),
            "key:app": (Decimal("1.25"), Decimal(7)),
            "key:free": (Decimal(1), Decimal(1)),
        },
        rollbacks={"r": 3},
        config_version="abc",
        config_since_s=12.5,
    )
    lines = exposition([now]).decode().splitlines()
    for line in (
        'freehold_route_state{route="r",state="canary"} 1.0',
        'freehold_route_state{route="r",state="promoted"} 0.0',
        'freehold_route_candidate_share{route="r"} 0.2',
        'freehold_route_mirrored_share{route="r"} 0.5',
        'freehold_name_spend_usd{name="key:app",period="day"} 1.25',
        'freehold_name_spend_usd{name="key:app",period="month"} 7.0',
        'freehold_name_cap_usd{name="key:app",period="month"} 40.0',
        'freehold_name_spend_usd{name="label:search",period="month"} 30.0',
        'freehold_name_cap_usd{name="label:search",period="month"} 500.0',
        'freehold_name_spend_usd{name="route:r",period="day"} 0.0',
        'freehold_name_cap_usd{name="route:r",period="day"} 9.0',
        'freehold_rollbacks_total{route="r"} 3.0',
        'freehold_config_info{version="abc"} 1.0',
        "freehold_config_since_seconds 12.5",
    ):
        assert line in lines
    # A key without a cap is not counted in dollars here: 0 would be wrong.
    assert not [line for line in lines if "free" in line.partition("{")[2] or "old" in line.partition("{")[2]]
    assert len([line for line in lines if line.startswith("freehold_name_cap_usd{")]) == 4
