"""Requests to one endpoint with answers kept on disk, a budget, and an end where the endpoint does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from freehold.errors import UpstreamError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.answer_cache import AnswerCache
from freehold.evals.chat.chat_client import ChatClient
from freehold.types.endpoint import Endpoint

_UNREACHABLE_LIMIT = 8


class Budget(NamedTuple):
    """The most that may be spent. None means no limit. Counted in tokens as the endpoint reports them."""

    requests: int | None = None
    tokens: int | None = None


class Asker:
    """Asks what was not asked before. `expected` is how many requests there will be at least.

    With `telling`, answers carry how sure the model was: requests are sent with these fields, which change no answer
    and are therefore no part of a key, and what was kept without is asked for again. An endpoint that refuses them is
    asked without.
    """

    def __init__(
        self,
        client: ChatClient,
        cache: AnswerCache,
        budget: Budget | None,
        expected: int,
        *,
        telling: Mapping[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._budget = budget or Budget()
        self._unreachable_most = min(_UNREACHABLE_LIMIT, expected)
        self._asked = self._tokens = 0
        self._unreachable_in_a_row = 0
        self._telling = telling
        self._told = False

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked."""
        return self._client.endpoint

    async def ask(self, key: str, body: dict[str, Any]) -> tuple[ChatAnswer, bool]:
        """The answer, and whether it was kept from before. Beyond the budget it is an infrastructure fault.

        Raises `UpstreamError` when the endpoint can't be reached several times in a row, and as `ChatClient.ask` does.
        """
        kept = self._cache.get(key)
        if kept is not None and (self._telling is None or kept.signals is not None):
            return kept, True
        answer = self._over_budget() or await self._ask(body)
        self._count(answer)
        if self._telling is not None and answer.signals is None:
            answer = msgspec.structs.replace(answer, signals={})
        self._cache.put(key, answer)
        return answer, False

    async def _ask(self, body: dict[str, Any]) -> ChatAnswer:
        answer = await self._client.ask({**(self._telling or {}), **body})
        if self._telling and not self._told and _is_refusal(answer):
            # APIs say in many words that they give no log-probabilities: what they do says it.
            plain = await self._client.ask(body)
            if not _is_refusal(plain):
                self._telling = {}
            answer = msgspec.structs.replace(plain, attempts=answer.attempts + plain.attempts)
        self._told = self._told or bool(answer.signals)
        return answer

    def _over_budget(self) -> ChatAnswer | None:
        for name, spent, limit in (
            ("requests", self._asked, self._budget.requests),
            ("tokens", self._tokens, self._budget.tokens),
        ):
            if limit is not None and spent >= limit:
                return ChatAnswer(
                    fault="infrastructure", error=f"budget_spent: {spent:,} of {limit:,} {name}", attempts=0
                )
        return None

    def _count(self, answer: ChatAnswer) -> None:
        self._asked += answer.attempts
        if answer.usage is not None:
            self._tokens += (answer.usage.prompt_tokens or 0) + (answer.usage.completion_tokens or 0)
        unreachable = answer.fault == "infrastructure" and (answer.error or "").startswith("unreachable")
        self._unreachable_in_a_row = self._unreachable_in_a_row + 1 if unreachable else 0
        if self._unreachable_in_a_row >= self._unreachable_most:
            raise UpstreamError(
                f"{self._client.endpoint.base_url} can't be reached: {(answer.error or '').partition(': ')[2]}",
                hint="start it, then run the same command again: answers so far are kept",
            )


def _is_refusal(answer: ChatAnswer) -> bool:
    return (answer.error or "").startswith("refused_request")
