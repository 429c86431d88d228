"""`freehold prompt`: how is this model best asked? The search of method `prompt` by itself, without a migration."""

from __future__ import annotations

import msgspec

from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Progress
from freehold.types.prompting import PromptSearch
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.journey.beginning import LOCK
from freehold.workflows.journey.methods.method import behind, endpoint_of, engine_of
from freehold.workflows.journey.prompting.planning import PromptPlan, PromptRequest, plan
from freehold.workflows.journey.prompting.search import run
from freehold.workflows.project import Project
from freehold.workflows.project_lock import one_at_a_time
from freehold.workflows.prove.labels import labels_held
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve.plan import of_config, pull_and_plan
from freehold.workflows.weights.encoders import check_writes


def plan_prompt(project: Project, request: PromptRequest, *, dataset_id: str | None = None) -> PromptPlan:
    """What a search on a project's dataset (default: the latest) would take. Nothing is fetched or sent.

    Raises as `plan`, and `UsageError` where there is no dataset, and for an encoder.
    """
    if request.endpoint is None:
        check_writes(request.model)
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, dataset_id)
    return plan(project, dataset, task_of(project), request)


def find_prompt(planned: PromptPlan, *, progress: Progress) -> PromptSearch:
    """Fetch and serve the model, search, and keep the record.

    Raises `LockedError` while a migration of the project runs, and what fetching, serving and `run` raise.
    """
    project = planned.project
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say),
    ):
        served = _served(planned, progress)
        progress.step("ask in several ways", note=served.served_name)
        made = run(planned, served, progress=progress)
        store.put(made, made_from=made.made_from)
        if made.preparation is not None:
            store.put(made.preparation, made_from=made.preparation.made_from)
    return made


def _served(planned: PromptPlan, progress: Progress) -> ServePlan:
    """The model as a migration would serve it, untuned."""
    config, settings = planned.project.config, planned.project.settings
    request = msgspec.structs.replace(of_config(config.serve), engine=engine_of(config).name, tuned=False)
    if planned.request.endpoint is not None:
        request = behind(request, endpoint_of(config, planned.request.endpoint))
    served = pull_and_plan(planned.request.model, request, settings, progress=progress)
    return msgspec.structs.replace(served, labels=labels_held(planned.task, planned.dataset), port=0)
