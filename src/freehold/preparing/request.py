"""A request as a served model is sent it: one place for all who ask, so that what was proven is what is asked.

Evaluations, comparisons with the trainer, measurements and the common address of several models ask by `asked`. The
gateway, whose loop must not wait, takes the same steps one by one.
"""

from __future__ import annotations

import logging
from typing import Any

from freehold.errors import EngineError, FreeholdError, UsageError
from freehold.preparing.conversation import UNPREPARED, Unprepared, is_chat, prepare, question_of, unprepared
from freehold.preparing.index import open_index
from freehold.types.endpoint import Preparation, ServedModel, ServePlan

log = logging.getLogger(__name__)
CHAT = "/v1/chat/completions"
_PASSED = ("/v1/embeddings", "/tokenize")
"""Paths whose requests need no preparation: they ask for no answer."""
_told: set[tuple[str, str]] = set()


def asked(served: ServedModel, body: dict[str, Any], *, path: str = CHAT) -> dict[str, Any]:
    """A request's JSON object as the endpoint of a served model is sent it, at `path`.

    Raises `UsageError` for a path whose requests cannot be prepared where the model has a preparation, and what
    `open_index` raises: without its examples a model is not the one that was proven.
    """
    preparation = served.preparation
    if preparation is None or not must_prepare(served, path) or not is_chat(body):
        return {**body, **served.fields}
    why = unprepared(body, preparation)
    if why is not None:
        tell_once(preparation, why)
        return {**body, **served.fields}
    index = preparation.examples
    found = open_index(index).nearest(question_of(body), index.k) if index is not None else ()
    return {**prepare(body, preparation, found).body, **served.fields}


def must_prepare(served: ServedModel, path: str) -> bool:
    """Whether requests at a path are prepared for a model. Raises `UsageError` where they had to be and cannot be."""
    if served.preparation is None or path in _PASSED:
        return False
    if path != CHAT:
        raise UsageError(
            f"{served.name} is asked with prepared requests, and only chat requests can be prepared",
            hint=f"ask it at {CHAT}",
        )
    return True


def tell_once(preparation: Preparation, why: Unprepared) -> None:
    """Log that requests of some kind go as they came: once for each preparation and reason in a process."""
    if (preparation.id, why) not in _told:
        _told.add((preparation.id, why))
        log.warning(
            "a request for %s goes to it as it came, and so will others like it: %s",
            preparation.base_model,
            UNPREPARED[why],
        )


def check(plan: ServePlan) -> None:
    """Raise `EngineError` for what would go wrong when requests are prepared for a plan: an index that cannot be
    opened, or a context shorter than the one that its examples were chosen for."""
    preparation = plan.preparation
    if preparation is None or preparation.examples is None:
        return
    if preparation.examples.context_tokens > plan.context_tokens:
        raise EngineError(
            f"{plan.served_name} is asked with examples for a context of {preparation.examples.context_tokens:,} "
            f"tokens, and the plan has {plan.context_tokens:,}",
            hint="freehold migrate chooses examples for the context that [serve] names",
        )
    try:
        open_index(preparation.examples)
    except FreeholdError as error:
        raise EngineError(error.message, hint=error.hint) from None
