"""Tokens that the candidate's side answered, by the endpoint that answered: what was not asked of the incumbent."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from freehold.errors import StorageError
from freehold.store.database import Database
from freehold.store.search import indexing
from freehold.store.tables import to_micros, trace_facets, traces

INDEX_WITHIN_S = 0.1


class AnsweredTokens(NamedTuple):
    """Requests of clients that one endpoint answered on the candidate's side, and their tokens."""

    endpoint: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


def answered_by_candidate(
    database: Database, *, since: datetime, index_within_s: float = INDEX_WITHIN_S
) -> list[AnsweredTokens]:
    """What each endpoint answered since then of requests that were sent to the candidate's side, most first.

    Mirrored copies are left out, and so are errors and requests that another endpoint stood in for: nothing was spared
    by those. An incumbent that answered by a rule of deferral stands there under its own name.
    """
    with contextlib.suppress(StorageError):  # a file that may only be read: what is in the index can be told
        indexing.catch_up(database, within_s=index_within_s)
    facets = trace_facets.c
    query = (
        select(
            facets.endpoint,
            func.count(),
            func.coalesce(func.sum(facets.prompt_tokens), 0),
            func.coalesce(func.sum(facets.completion_tokens), 0),
        )
        .select_from(trace_facets.join(traces, traces.c.seq == facets.seq))
        .where(
            facets.at >= to_micros(since),
            facets.arm == "candidate",
            facets.error.is_(False),
            facets.fallback.is_(None),
            traces.c.parent_id.is_(None),
        )
        .group_by(facets.endpoint)
        .order_by(func.count().desc())
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [AnsweredTokens(row[0] or "", *(int(value) for value in row[1:])) for row in rows]
