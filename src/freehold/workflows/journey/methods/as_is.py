"""A model as it is, untrained: behind an address, on an engine that has it already, or fetched, fitted and served."""

from __future__ import annotations

from collections import Counter

import msgspec

from freehold.datasets import building
from freehold.engines import load
from freehold.types.dataset import Dataset
from freehold.types.endpoint import Preparation
from freehold.types.method import MethodName
from freehold.workflows.journey.examples import SYSTEM_ROLES
from freehold.workflows.journey.methods.method import Bench, Candidate, Made, NotMadeError, fetches
from freehold.workflows.journey.methods.training import fitted
from freehold.workflows.serve.plan import plan, plan_by_name


class AsIs:
    """See the module."""

    name: MethodName = "as_is"
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Name the model to its engine, or fetch it and check that it fits."""
        request, settings = bench.request(candidate), bench.project.settings
        if not fetches(candidate, bench.project.config):
            return Made(plan=plan_by_name(candidate.model, request, settings))
        load(bench.engine.name).require(request.options, settings)  # not after a long download
        weights, fit = fitted(candidate, bench)
        served = plan(weights, request, settings, name=candidate.model, progress=bench.progress)
        return Made(plan=served, weights=weights, fit=fit)


# A model as it is, asked with a prompt of its own: the application sends its own as before. The words are the
# project's, not searched for: whether they do better is measured as of any candidate.

_SHARED = 0.5
"""From this share of requests on, a system prompt is that of the application; below, each request has its own."""


class OwnPrompt:
    """A `Method`: the model as it is, behind a preparation with the words of `[[candidates]]`."""

    name: MethodName = "prompt"
    trains = False

    def make(self, candidate: Candidate, bench: Bench) -> Made:
        """Have the model served as `as_is` does. Raises `NotMadeError` where there is no one system prompt that another
        could stand in for."""
        preparation = Preparation.of(
            base_model=candidate.model,
            dataset_id=bench.dataset.id,
            system_was=system_of(bench.dataset),
            system=candidate.settings.system,
            made_from=(bench.dataset.id,),
        )
        made = AsIs().make(candidate, bench)
        bench.store.put(preparation, made_from=preparation.made_from)
        return msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, preparation=preparation))


def system_of(dataset: Dataset) -> str | None:
    """The application's system prompt: that of most requests; None where they have none. Raises `NotMadeError` where
    each has its own."""
    counted: Counter[str | None] = Counter()
    for split in ("train", "held_out"):
        for sample in building.samples(dataset, split):
            said = [str(one.content) for one in sample.messages if one.role in SYSTEM_ROLES]
            counted["\n".join(said) or None] += 1
        if counted:
            break
    system, times = counted.most_common(1)[0]
    share = times / counted.total()
    if share < _SHARED:
        raise NotMadeError(
            f"no system prompt is there to stand in for: the most frequent of the requests' is that of {share:.0%} of "
            "them"
        )
    return system
