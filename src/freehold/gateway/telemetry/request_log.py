"""What a worker tells of each request while it runs: a line of JSON in the log, a span for OpenTelemetry.

Neither has content: no messages, no users, no addresses. Requests are remembered on the hot path and told once a
second from a thread; when more come than can be told, the rest is dropped and counted.

A span takes its trace from the client's ``traceparent`` (W3C Trace Context), else its own request id, and carries the
attributes of the GenAI semantic conventions. Where spans go is said by the standard variables of OpenTelemetry
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, …).
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

MOST_WAITING = 20_000
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


class Seen(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A request that is over. Its time is that of its arrival, in milliseconds since 1970."""

    id: str
    at_ms: int
    api: str
    kind: str
    path: str
    model: str
    status: int
    total_ms: float
    ttft_ms: float | None = None
    streamed: bool = False
    completeness: str = "complete"
    route: str | None = None
    endpoint: str | None = None
    arm: str | None = None
    fallback: str | None = None
    code: str | None = None
    key: str | None = None
    traceparent: str | None = None


class Telling(Protocol):
    """Somewhere that finished requests are told."""

    def tell(self, seen: Sequence[Seen]) -> None:
        """Called from a thread, never twice at once."""

    def close(self) -> None:
        """Nothing more will come."""


class Lines:
    """A line of JSON for each request, on stderr."""

    def tell(self, seen: Sequence[Seen]) -> None:
        told = []
        for one in seen:
            at = datetime.fromtimestamp(one.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
            fields = msgspec.to_builtins(one)
            del fields["at_ms"]
            fields.pop("traceparent", None)
            told.append(msgspec.json.encode({"at": at, "event": "request", **fields}).decode() + "\n")
        sys.stderr.write("".join(told))
        sys.stderr.flush()

    def close(self) -> None:
        return


class Spans:
    """A span for each request, through OpenTelemetry's own exporter."""

    def __init__(self) -> None:
        check_otel()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._exporter = OTLPSpanExporter()
        made = Resource.create({SERVICE_VERSION: __version__})
        name = made.attributes.get(SERVICE_NAME)
        if not isinstance(name, str) or name.startswith("unknown_service"):
            made = made.merge(Resource({SERVICE_NAME: "freehold"}))
        self._resource = made
        self._scope = InstrumentationScope("freehold.gateway", __version__)

    def tell(self, seen: Sequence[Seen]) -> None:
        self._exporter.export([self._span(one) for one in seen])

    def close(self) -> None:
        self._exporter.shutdown()

    def _span(self, seen: Seen) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        own = seen.id.replace("-", "")
        sampled = TraceFlags(TraceFlags.SAMPLED)
        above = _PARENT.fullmatch(seen.traceparent or "")
        trace_id = int(above[1] if above else own, 16)
        parent = SpanContext(trace_id, int(above[2], 16), True, sampled) if above else None
        start = seen.at_ms * 1_000_000
        failed = seen.status >= 500 or seen.completeness == "upstream_cut"
        operation = _OPERATIONS.get(seen.kind, "chat")
        return ReadableSpan(
            name=f"{operation} {seen.model}".strip(),
            context=SpanContext(trace_id, int(own[16:], 16), False, sampled),
            parent=parent,
            resource=self._resource,
            attributes=_attributes(seen, operation),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=start,
            end_time=start + round(seen.total_ms * 1_000_000),
            instrumentation_scope=self._scope,
        )


def _attributes(seen: Seen, operation: str) -> dict[str, Any]:
    trouble = seen.code or (str(seen.status) if seen.status >= 400 else None)
    found = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": seen.model,
        "http.request.method": "POST",
        "http.response.status_code": seen.status,
        "url.path": seen.path,
        "error.type": trouble,
        "freehold.request.id": seen.id,
        "freehold.route": seen.route,
        "freehold.endpoint": seen.endpoint,
        "freehold.arm": seen.arm,
        "freehold.fallback": seen.fallback,
        "freehold.completeness": seen.completeness,
        "freehold.ttft_ms": seen.ttft_ms,
    }
    return {name: value for name, value in found.items() if value is not None}


def check_otel() -> None:
    """Raises `MissingExtraError` where OpenTelemetry's exporter is not installed."""
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise MissingExtraError("telling requests to OpenTelemetry", "otel")


class Teller:
    """The requests of a worker that were not told yet. `dropped` counts those that never will be."""

    def __init__(self, tellings: Sequence[Telling]) -> None:
        self._tellings = tellings
        self._waiting: list[Seen] = []
        self.dropped = 0

    def add(self, seen: Seen) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
        else:
            self._waiting.append(seen)

    def flush(self) -> None:
        """Tell what waits; in a thread, for an exporter may wait for its collector."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        for telling in self._tellings:
            try:
                telling.tell(waiting)
            except Exception:
                logging.getLogger("freehold.gateway").exception("requests could not be told")
                self.dropped += len(waiting)

    def close(self) -> None:
        self.flush()
        for telling in self._tellings:
            telling.close()


class JsonLines(logging.Formatter):
    """Log records as lines of JSON, beside those of requests."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "message",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def log_as_json() -> None:
    """What this process logs as lines of JSON on stderr."""
    logs.configure(JsonLines())
