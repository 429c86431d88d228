"""The search run: engine, proposer, scorer and files put together, and what was found as a record."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import msgspec
from anyio.from_thread import BlockingPortal, start_blocking_portal

from freehold import files
from freehold.engines import start
from freehold.evals.chat.chat_client import ChatClient, Patience
from freehold.evals.replay import served_model
from freehold.evals.scoring import scorer_of
from freehold.prompts.checks import Checks
from freehold.prompts.search import PromptsFound, Proposing, search
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.progress import Progress
from freehold.types.prompting import PromptSearch
from freehold.types.record import content_id
from freehold.workflows.journey.paying.answers import PaidAnswers
from freehold.workflows.journey.prompting.asking import ANSWERS, AskedModelTask, CandidateMeasure, Purse
from freehold.workflows.journey.prompting.planning import PromptPlan
from freehold.workflows.journey.prompting.proposer import (
    PATIENCE,
    PROPOSALS,
    REPLY_TOKENS,
    ProposalAsker,
    Proposer,
)

FOLDER = "prompts"
ASKED = "asked.jsonl"
"""What was asked, answered and paid, a line each."""
FOUND = "search.json"


def run(
    planned: PromptPlan, serve_plan: ServePlan, *, progress: Progress, patience: Patience | None = None
) -> PromptSearch:
    """Search what was planned, on the model as `serve_plan` serves it.

    Every request is written down before it is sent and every answer before it is used, so the same search run again
    goes on where it was killed, and asks and pays nothing twice. A budget that is spent and a proposer that is gone end
    it with what was found. Raises `UpstreamError` where the candidate answers nothing any more, and what starting the
    engine raises.
    """
    folder = folder_of(planned, serve_plan)
    with ExitStack() as stack:
        paid = stack.enter_context(PaidAnswers(folder / ASKED))
        portal = stack.enter_context(start_blocking_portal())
        purse = Purse(paid, planned.request.budget.usd)
        if planned.proposer is not None and planned.proposer.endpoint is not None:
            # First: what is wrong with its key is found before an engine is started.
            proposer_client = _client(stack, portal, planned.proposer.endpoint, 1, PATIENCE)
        started = start(serve_plan, log_dir=planned.project.state / "engines", name="prompt")
        endpoint = stack.enter_context(portal.wrap_async_context_manager(started))
        client = _client(stack, portal, endpoint, serve_plan.parallel, patience)
        scorer = stack.enter_context(portal.wrap_async_context_manager(scorer_of(planned.task)))
        measure = CandidateMeasure(
            portal,
            AskedModelTask(
                client, serve_plan.served_name, planned.task, scorer, planned.prices, serve_plan.parallel
            ),
            purse,
            progress,
        )
        proposing = None
        if planned.proposer is not None:
            if planned.proposer.endpoint is None:
                proposer_client = _client(stack, portal, endpoint, 1, PATIENCE)
            asking = _asking(portal, proposer_client, planned, planned.proposer, purse, endpoint, serve_plan)
            proposing = Proposing(
                propose=asking,
                checks=Checks(planned.asked.system, planned.leak_check(), planned.fits),
                train=planned.train,
                most_proposals=planned.most_proposals,
                form=planned.form.statement,
                seed=planned.request.seed,
            )
        found = search(planned.asked, planned.variants, planned.validation, measure, proposing)
        made = _record(planned, found, paid, folder)
    files.write(folder / FOUND, msgspec.json.format(msgspec.json.encode(made)), private=True)
    return made


def folder_of(planned: PromptPlan, serve_plan: ServePlan) -> Path:
    """Where a search keeps what was answered. A larger budget goes on in the same place."""
    request = msgspec.structs.replace(planned.request, budget=type(planned.request.budget)())
    identity = [serve_plan.identity, planned.dataset.id, planned.task, planned.asked, request]
    return planned.project.state / FOLDER / content_id(identity)[:12]


def _client(
    stack: ExitStack, portal: BlockingPortal, endpoint: Endpoint, at_once: int, patience: Patience | None
) -> ChatClient:
    client = ChatClient(endpoint, concurrency=at_once, patience=patience)
    return stack.enter_context(portal.wrap_async_context_manager(client))


def _asking(
    portal: BlockingPortal,
    client: ChatClient,
    planned: PromptPlan,
    proposer: Proposer,
    purse: Purse,
    endpoint: Endpoint,
    serve_plan: ServePlan,
) -> ProposalAsker:
    """The proposer, ready to be asked. The candidate as its own is asked freely, not held to labels, and within its
    context."""
    tokens = REPLY_TOKENS
    if proposer.endpoint is None:
        proposer = proposer._replace(model=served_model(endpoint, serve_plan.served_name).upstream_name)
        tokens = min(tokens, serve_plan.context_tokens // 3)
    return ProposalAsker(portal, client, proposer, purse, planned.request.budget.requests, max_tokens=tokens)


def _record(planned: PromptPlan, found: PromptsFound, paid: PaidAnswers, folder: Path) -> PromptSearch:
    request, prices = planned.request, planned.prices
    known = prices.usd(request.model, 1, 1) is not None and (
        planned.proposer is None or planned.proposer.priced
    )
    made = PromptSearch(
        id="",
        base_model=request.model,
        dataset_id=planned.dataset.id,
        trials=found.trials,
        chosen=found.chosen,
        proposals=found.proposals,
        proposer=planned.estimate.proposer,
        seed=request.seed,
        budget=request.budget,
        proposer_requests=paid.of(PROPOSALS).requests,
        candidate_requests=paid.of(ANSWERS).requests,
        spent_usd=paid.spent_usd if known else None,
        stopped=found.stopped,
        system_share=planned.system_share,
        notes=planned.estimate.notes,
        made_from=(planned.dataset.id,),
    )
    added = made.added_tokens
    usd: Decimal | None = None
    if request.endpoint is not None and added is not None:
        per_token = prices.usd(request.model, 1_000, 0)  # not of a prompt so long that it has another price
        usd = None if per_token is None else Decimal(round(added * 1000)) * per_token / 1_000
    made = msgspec.structs.replace(made, added_usd_per_1000_requests=usd)
    return msgspec.structs.replace(made, id=content_id([folder.name, made]))
