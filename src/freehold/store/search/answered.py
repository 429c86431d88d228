"""Tokens that the candidate's side answered, by the endpoint that answered: what was not asked of the incumbent."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from freehold.errors import StorageError
from freehold.store.database import Database
from freehold.store.search import indexing
from freehold.store.search.counts import LONG_S, MIDDLE_S, SHORT_KEPT_S
from freehold.store.tables import answered_counts

INDEX_WITHIN_S = 0.1


class AnsweredTokens(NamedTuple):
    """Requests of clients that one endpoint answered on the candidate's side, and their tokens."""

    endpoint: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


def answered_by_candidate(
    database: Database, *, since: datetime, until: datetime, index_within_s: float = INDEX_WITHIN_S
) -> list[AnsweredTokens]:
    """What each endpoint answered of requests that were sent to the candidate's side, most first.

    It is read from what was counted as traces were indexed, in stretches of five minutes, of hours for more than a day:
    from the beginning of the one that holds `since` to the end of the one that holds `until`. Mirrored copies are left
    out, and so are errors and requests that another endpoint stood in for: nothing was spared by those. An incumbent
    that answered by a rule of deferral stands there under its own name.
    """
    with contextlib.suppress(StorageError):  # a file that may only be read: what is in the index can be told
        indexing.catch_up(database, within_s=index_within_s)
    begin, end = int(since.timestamp()), int(until.timestamp())
    width = MIDDLE_S if end - begin <= SHORT_KEPT_S - LONG_S else LONG_S
    counted = answered_counts.c
    requests = func.sum(counted.requests)
    query = (
        select(
            counted.endpoint, requests, func.sum(counted.prompt_tokens), func.sum(counted.completion_tokens)
        )
        .where(counted.width_s == width, counted.begins_s >= begin - begin % width, counted.begins_s <= end)
        .group_by(counted.endpoint)
        .order_by(requests.desc())
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [AnsweredTokens(row[0], *(int(value) for value in row[1:])) for row in rows]
