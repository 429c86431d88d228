"""Who proposes prompts: found by its name, and asked within the budget, each reply kept before it is used."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from anyio.from_thread import BlockingPortal

from freehold.errors import UpstreamError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_client import ChatClient, Patience
from freehold.evals.judging.judge import JudgeOptions
from freehold.evals.scorer import read_options
from freehold.prompts.measuring import SearchEndedError
from freehold.prompts.replies import AS_BLOCK, AS_OBJECT, object_format, split
from freehold.types.config import PriceConfig, ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.types.record import content_id
from freehold.workflows.journey.paying.asked_model import asked_model
from freehold.workflows.journey.paying.prices import Prices
from freehold.workflows.journey.prompting.asking import Purse, waited

log = logging.getLogger(__name__)

PROPOSALS = "proposals"
"""The proposer's part of what was asked and paid."""
ITSELF = "itself"
"""Names the candidate as its own proposer."""
PATIENCE = Patience(attempts=1)
"""Each request counts against the budget, so none is repeated unseen."""
REPLY_TOKENS = 2048
WAITS_SECONDS = (1.0, 5.0, 20.0)
"""Before a request that failed is sent again."""
FREE = PriceConfig(prompt=Decimal(0), completion=Decimal(0))


class Proposer(NamedTuple):
    """Where proposals come from. `endpoint` is None where the candidate itself proposes."""

    name: str
    model: str
    endpoint: Endpoint | None
    prices: Prices

    @property
    def priced(self) -> bool:
        """Whether its price is known."""
        return self.prices.usd(self.model, 1, 1) is not None


def proposer_named(name: str, config: ProjectConfig, task: Task, candidate: str) -> Proposer:
    """The proposer of that name: ``incumbent``, ``judge``, ``itself``, or one of ``[[endpoints]]`` (``NAME/MODEL``).

    Raises `UsageError` for a name that is none of these, and for one that cannot be asked.
    """
    if name == ITSELF:
        return Proposer(name, candidate, None, Prices(FREE, candidate))
    if name == "judge":
        if task.scorer != "judge":
            raise UsageError(
                f"the proposer is to be the judge, and the task is scored by {task.scorer}",
                hint="name the incumbent or one of [[endpoints]]",
            )
        judge = read_options("judge", task.options, JudgeOptions)
        endpoint = Endpoint(
            name="judge", engine="remote", base_url=judge.base_url, api_key_env=judge.api_key_env
        )
        return Proposer(name, judge.model, endpoint, Prices(None, judge.model))
    found = asked_model(name, config, role="the proposer", known=("judge", ITSELF))
    return Proposer(name, found.model, found.endpoint, found.prices)


class ProposalAsker:
    """Asks one proposer; called with the text, the ids of the samples that it shows, and the prompt to make better.

    Replies are asked for as a block of text. An endpoint that says it holds answers to a schema is asked for an object
    from the first request on, any other one after its first reply without a prompt in it; where it refuses that, it is
    asked for a block again. Both follow from the replies, so a second run asks the same.
    """

    def __init__(
        self,
        portal: BlockingPortal,
        client: ChatClient,
        proposer: Proposer,
        purse: Purse,
        most_requests: int | None,
        *,
        max_tokens: int = REPLY_TOKENS,
    ) -> None:
        self._portal, self._client, self._proposer, self._purse = portal, client, proposer, purse
        self._most_requests, self._max_tokens = most_requests, max_tokens
        self._times: Counter[str] = Counter()
        self._held = client.endpoint.capabilities.json_schema
        self._refuses_schemas = False

    def __call__(self, text: str, ids: Sequence[str], *, current: str) -> str:
        """The reply. Raises `SearchEndedError` where the budget is spent or nothing is answered any more."""
        held = self._held
        body = {
            "model": self._proposer.model,
            "messages": [{"role": "user", "content": text + (AS_OBJECT if held else AS_BLOCK)}],
            "max_tokens": self._max_tokens,
            **({"response_format": object_format(current)} if held else {}),
        }
        answer = self._answer(text, body, ids)
        reply = answer.output or ""
        if held and not reply and (answer.error or "").startswith("refused_request"):
            log.info("the proposer takes no schema (%s): it is asked for a block of text", answer.error)
            self._held, self._refuses_schemas = False, True
            return self(text, ids, current=current)
        if not held and not self._refuses_schemas and split(reply)[0] is None:
            log.info("the proposer's reply holds no prompt: from now on it is held to an object")
            self._held = True
        return reply

    def _answer(self, text: str, body: dict[str, Any], ids: Sequence[str]) -> ChatAnswer:
        """One reply, of before or asked now."""
        # The same question may be put again, and wants another reply.
        self._times[text] += 1
        key = content_id(["proposal", self._proposer.name, body, self._times[text]])
        kept = self._purse.paid.get(key)
        if kept is not None:
            return kept
        for wait in (*WAITS_SECONDS, None):
            answer = self._once(key, body, ids)
            if answer.fault != "infrastructure":
                return answer
            if wait is not None:
                time.sleep(wait)
        raise SearchEndedError(f"the proposer answers nothing any more: {answer.error}")

    def _once(self, key: str, body: dict[str, Any], ids: Sequence[str]) -> ChatAnswer:
        asked = self._purse.paid.of(PROPOSALS).requests
        if self._most_requests is not None and asked >= self._most_requests:
            raise SearchEndedError(f"the budget: {asked:,} requests to the proposer")
        prices, model = self._proposer.prices, self._proposer.model
        most = prices.most(model, body)
        self._purse.ask(key, PROPOSALS, most, about=" ".join(ids))
        try:
            answer: ChatAnswer = waited(self._portal.start_task_soon(self._client.ask, body))
        except UpstreamError as error:  # refused, so not billed
            refused = ChatAnswer(fault="infrastructure", error=error.message)
            self._purse.paid.answer(key, refused, Decimal(0))
            raise SearchEndedError(f"the proposer: {error.message}", hint=error.hint) from None
        if answer.fault == "candidate" and not answer.keepable:
            # Out of time: the search goes on without this reply, so a second run must not ask for it again.
            answer = msgspec.structs.replace(answer, error=f"no reply: {answer.error}")
        self._purse.paid.answer(key, answer, prices.spent(model, answer, most))
        return answer
