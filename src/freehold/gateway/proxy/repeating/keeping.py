"""Keep answers that may be given again. The client has them already."""

from __future__ import annotations

import time
from typing import Literal, cast

from freehold.gateway.caching.kept_answers import ANSWER_BYTES_MAX, KeptAnswer
from freehold.gateway.capture.traces import answer_in, decompressed
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.repeating.finding import Repeat
from freehold.gateway.proxy.state import WorkerState

_DAY_S = 86_400.0
# Such an answer may be another one the next time.
_NOT_FINISHED = (None, "error", "content_filter", "refusal")
# The next request may be decided otherwise: what was in the way may be gone.
_FOR_NOW = (
    "candidate_failed",
    "candidate_slow",
    "no_signal",
    "incumbent_down",
    "other_version",
    "unreadable",
)


def keep(state: WorkerState, exchange: ProxyExchange) -> None:
    """Keep an answer that is whole, good, and came from whom the route and its rule of deferral meant."""
    repeat = exchange.repeat
    assert isinstance(repeat, Repeat) and exchange.answered_by is not None
    if (
        exchange.status != 200
        or exchange.completeness != "complete"
        or exchange.fallback is not None
        or (exchange.deferring is not None and exchange.deferring.why in _FOR_NOW)
        or not 0 < exchange.chunk_bytes <= ANSWER_BYTES_MAX
        or not _is_good(exchange)
        # The route may have changed while the answer was on its way.
        or state.table.cached.get(repeat.route) != repeat.version
    ):
        return
    now_s, seconds = time.monotonic(), repeat.terms.seconds
    if state.config.retention_days is not None:
        seconds = min(seconds, state.config.retention_days * _DAY_S)
    kept = KeptAnswer(
        endpoint=exchange.answered_by,
        arm=cast("Literal['incumbent', 'candidate', 'upper']", exchange.arm),
        content_type=exchange.content_type,
        content_encoding=exchange.content_encoding,
        hides_usage=exchange.hides_usage,
        chunks=tuple(bytes(chunk) for chunk in exchange.chunks),
        kept_s=now_s,
        until_s=now_s + seconds,
    )
    if state.kept.keep(repeat.route, repeat.version, repeat.key, kept, repeat.terms):
        state.meters.count("freehold_cache", repeat.route, "kept")


def _is_good(exchange: ProxyExchange) -> bool:
    """Whether the upstream finished its answer, as its API says it does, and it tells no error."""
    body = decompressed(b"".join(exchange.chunks), exchange.content_encoding, ANSWER_BYTES_MAX)
    if body is None:
        return False
    answer = answer_in(body, exchange.response_kind, streamed=exchange.streamed)
    if not answer.ended or answer.body is None or answer.body.get("error") is not None:
        return False
    return exchange.api_route.kind == "embeddings" or answer.finish_reason not in _NOT_FINISHED
