"""What a worker reports of each request: a line of JSON in the log, a span for OpenTelemetry.

Neither has content: no messages, no users, no addresses. Requests are queued on the hot path and exported once a
second from a thread; when more come than can be exported, the rest is dropped and counted.

A span takes its trace from the client's ``traceparent`` (W3C Trace Context), else its own request id, and carries the
attributes of the GenAI semantic conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans, read
2026-11-29); tokens where the answer was captured or counted. Where spans go is said by the
configuration, else by the standard variables of OpenTelemetry (``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, …).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from freehold import __version__, logs
from freehold.errors import MissingExtraError
from freehold.gateway.spending import usage_in
from freehold.gateway.telemetry.log_file import follow_log_file
from freehold.wire.otlp import maker_of

WAITING_MAX = 20_000
ENDS_BYTES_MAX = 16 * 1024 * 1024
"""Of answers' ends among what waits: while a collector hangs, spans go without tokens rather than fill the memory."""
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A request that is over. Its time is that of its arrival, in milliseconds since 1970."""

    id: str
    at_ms: int
    api: str
    kind: str
    path: str
    model: str
    method: str = "POST"
    status: int
    total_ms: float
    ttft_ms: float | None = None
    streamed: bool = False
    completeness: str = "complete"
    route: str | None = None
    endpoint: str | None = None
    arm: str | None = None
    fallback: str | None = None
    deferral: str | None = None
    code: str | None = None
    key: str | None = None
    traceparent: str | None = None
    upstream_id: str | None = None
    ends: tuple[bytes, bytes] | None = None
    """Of the answer, for a span's exporter: its usage stands there. Never told as they are."""


class SpansLostError(Exception):
    """A collector did not take spans; its exporter has logged why."""


class Exporter(Protocol):
    """Where summaries of finished requests go."""

    def export(self, summaries: Sequence[RequestSummary]) -> None:
        """Called from a thread, never twice at once. Raises whatever keeps them from being told."""

    def close(self) -> None:
        """Send what is buffered; `export` is not called again."""


class LogExporter:
    """A line of JSON for each request, on stderr."""

    def export(self, summaries: Sequence[RequestSummary]) -> None:
        lines = []
        for summary in summaries:
            at = datetime.fromtimestamp(summary.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
            fields = msgspec.to_builtins(msgspec.structs.replace(summary, ends=None))
            del fields["at_ms"]
            fields.pop("traceparent", None)
            fields.setdefault("method", summary.method)
            lines.append(msgspec.json.encode({"at": at, "event": "request", **fields}).decode() + "\n")
        sys.stderr.write("".join(lines))
        sys.stderr.flush()

    def close(self) -> None:
        return


class SpanExporter:
    """A span for each request, through OpenTelemetry's own exporter, which does not follow redirects.

    Its library is loaded with the first spans, in the thread that tells them.
    """

    def __init__(self) -> None:
        self._exporter: Any = None
        self._resource: Any = None
        self._scope: Any = None

    def _open(self) -> None:
        check_spans()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        exporter = OTLPSpanExporter()
        resource = Resource.create({SERVICE_VERSION: __version__})
        name = resource.attributes.get(SERVICE_NAME)
        if not isinstance(name, str) or name.startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "freehold"}))
        self._resource = resource
        self._scope = InstrumentationScope("freehold.gateway", __version__)
        self._exporter = exporter

    def export(self, summaries: Sequence[RequestSummary]) -> None:
        if self._exporter is None:
            self._open()
        result = self._exporter.export([self._span(summary) for summary in summaries])
        if result.name != "SUCCESS":
            raise SpansLostError

    def close(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()

    def _span(self, summary: RequestSummary) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        own = summary.id.replace("-", "")
        sampled = TraceFlags(TraceFlags.SAMPLED)
        parent_ids = _PARENT.fullmatch(summary.traceparent or "")
        trace_id = int(parent_ids[1] if parent_ids else own, 16)
        parent = SpanContext(trace_id, int(parent_ids[2], 16), True, sampled) if parent_ids else None
        start = summary.at_ms * 1_000_000
        failed = summary.status >= 500 or summary.completeness == "upstream_cut"
        operation = _OPERATIONS.get(summary.kind, "chat")
        return ReadableSpan(
            name=f"{operation} {summary.model}".strip(),
            context=SpanContext(trace_id, int(own[16:], 16), False, sampled),
            parent=parent,
            resource=self._resource,
            attributes=_attributes(summary, operation),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=start,
            end_time=start + round(summary.total_ms * 1_000_000),
            instrumentation_scope=self._scope,
        )


def _attributes(summary: RequestSummary, operation: str) -> dict[str, Any]:
    head, tail = summary.ends or (b"", b"")
    usage = usage_in(head, tail)
    error_type = summary.code or (str(summary.status) if summary.status >= 400 else None)
    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": maker_of(summary.model),
        "gen_ai.request.model": summary.model,
        "gen_ai.usage.input_tokens": None if usage is None else usage.prompt_tokens,
        "gen_ai.usage.output_tokens": None if usage is None else usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": None if usage is None else usage.cached_prompt_tokens,
        "gen_ai.usage.cache_creation.input_tokens": None if usage is None else usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": None if usage is None else usage.reasoning_tokens,
        "http.request.method": summary.method,
        "http.response.status_code": summary.status,
        "url.path": summary.path,
        "error.type": error_type,
        "freehold.request.id": summary.id,
        "freehold.route": summary.route,
        "freehold.endpoint": summary.endpoint,
        "freehold.arm": summary.arm,
        "freehold.fallback": summary.fallback,
        "freehold.deferral": summary.deferral,
        "freehold.completeness": summary.completeness,
        "freehold.ttft_ms": summary.ttft_ms,
        "freehold.key": summary.key,
        "freehold.upstream_id": summary.upstream_id,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def check_spans() -> None:
    """Raises `MissingExtraError` where OpenTelemetry's exporter is not installed."""
    try:
        spec = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise MissingExtraError("exporting requests to OpenTelemetry", "otel")


class Reporter:
    """The requests of a worker that were not exported yet. `dropped` counts those that never will be."""

    def __init__(self, exporters: Sequence[Exporter] = ()) -> None:
        self._exporters = exporters
        self._waiting: list[RequestSummary] = []
        self._ends_bytes = 0
        self.dropped = 0

    @property
    def is_due(self) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._waiting)

    def add(self, summary: RequestSummary) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        if summary.ends is not None:
            size = sum(map(len, summary.ends))
            if self._ends_bytes + size > ENDS_BYTES_MAX:
                summary = msgspec.structs.replace(summary, ends=None)
            else:
                self._ends_bytes += size
        self._waiting.append(summary)

    def flush(self) -> None:
        """Export what waits; in a thread, for an exporter may wait for its collector."""
        waiting, self._waiting, self._ends_bytes = self._waiting, [], 0
        if not waiting:
            return
        for exporter in self._exporters:
            try:
                exporter.export(waiting)
            except SpansLostError:
                self.dropped += len(waiting)
            except Exception:
                logging.getLogger("freehold.gateway").exception("requests could not be exported")
                self.dropped += len(waiting)

    def close(self) -> None:
        self.flush()
        for exporter in self._exporters:
            exporter.close()


class JsonFormatter(logging.Formatter):
    """Log records as lines of JSON, next to those of requests."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "message",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def log_as_json() -> None:
    """What this process logs as lines of JSON on stderr."""
    logs.configure(JsonFormatter())
    follow_log_file()
