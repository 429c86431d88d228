"""A model asked in its own way: the application sends its prompt as before, and each request is prepared for it.

The way is found on validation samples (`freehold.workflows.journey.prompting`). Where nothing does better than the
request as it is sent, the candidate is the model as it is.
"""

from __future__ import annotations

import msgspec

from freehold import __version__
from freehold.errors import UsageError
from freehold.types.method import MethodName
from freehold.types.prompting import PromptBudget, PromptSearch
from freehold.workflows.journey.methods.as_is import AsIs
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError
from freehold.workflows.journey.prompting.planning import PromptPlan, PromptRequest, plan
from freehold.workflows.journey.prompting.search import run
from freehold.workflows.prove.labels import labels_held


class OwnPrompt:
    """A `Method`: the model as it is, behind a preparation of its own."""

    name: MethodName = "prompt"
    step_count = 1
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Plan the search before anything is fetched, have the model served, and search."""
        planned = _planned(candidate, bench)
        made = AsIs().make(candidate, bench)
        # As it will be served: where an engine holds answers to the labels, their form needs no words.
        held = msgspec.structs.replace(made.plan, labels=labels_held(bench.task, bench.dataset), port=0)
        found = bench.steps.run(
            f"prompt:{candidate.key}",
            f"{candidate.short_name}: how is it best asked?",
            [held.identity, bench.dataset.id, bench.task, planned.request, planned.asked, __version__],
            PromptSearch,
            lambda: run(planned, held, progress=bench.progress),
        )
        bench.store.put(found, made_from=found.made_from)
        if found.preparation is None:
            bench.progress.say(f"{candidate.short_name}: nothing did better than the request as it is sent")
        else:
            bench.store.put(found.preparation, made_from=found.preparation.made_from)
        served = msgspec.structs.replace(made.plan, preparation=found.preparation)
        return msgspec.structs.replace(made, plan=served, prompt=found)


def request_of(candidate: Candidate) -> PromptRequest:
    """What a candidate's settings ask of a search."""
    said = candidate.settings
    return PromptRequest(
        model=candidate.model,
        endpoint=candidate.endpoint,
        proposer=said.proposer,
        budget=PromptBudget(requests=said.budget_requests, usd=said.budget_usd),
    )


def _planned(candidate: Candidate, bench: Bench) -> PromptPlan:
    try:
        return plan(bench.project, bench.dataset, bench.task, request_of(candidate))
    except UsageError as error:
        if bench.only_one:
            raise
        raise NotMadeError(error.message) from None
