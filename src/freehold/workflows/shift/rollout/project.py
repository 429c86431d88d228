"""A project's rollout: where its route, candidate and settings come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from freehold.errors import UsageError
from freehold.store import Store, open_store
from freehold.types.endpoint import ServePlan
from freehold.types.route import Route
from freehold.types.serving.rollout import Rollout, RolloutTerms
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve.names import ENDPOINT_NAME, INCUMBENT
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.mixture import check_upper, with_mixture
from freehold.workflows.shift.rollout.schemas import check_schemas
from freehold.workflows.shift.routes import endpoint_names


@contextmanager
def opened(project: Project, route_name: str | None) -> Iterator[tuple[Store, str]]:
    """The project's store, and the route meant: the one named, else the project's own."""
    with open_store(project.store_url) as store:
        yield store, route_name or project.config.app.name


def start_project(
    project: Project,
    *,
    route_name: str | None,
    model: str | None,
    candidate_model: str | None,
    who: str,
    at: datetime,
    loose_schemas: bool = False,
) -> Rollout:
    """Begin a rollout of what `freehold up` serves.

    Where the last verdict promotes a mixture, the route gets its rule: the candidate's side is then the mixture. Raises
    `UsageError` where something is not known, for a mixture that was proven for another candidate or dataset, and where
    the engine cannot hold answers to the traffic's schemas (unless `loose_schemas`).
    """
    config = project.config
    if candidate_model in endpoint_names(config):
        raise UsageError(
            f"{candidate_model} is an endpoint; --candidate takes the name of a model that {ENDPOINT_NAME} serves",
            hint=f"for another endpoint: freehold routes set {route_name or config.app.name} --model "
            f"{model or 'MODEL'} --incumbent {INCUMBENT} --candidate ENDPOINT/MODEL, then rollout start",
        )
    with opened(project, route_name) as (store, name):
        route = next((route for route in store.routes() if route.name == name), None)
        if route is None or candidate_model is not None:
            new = _new_route(project, store, name, model, candidate_model)
            route = new if route is None else msgspec.structs.replace(route, candidate=new.candidate)
        if not loose_schemas:
            check_schemas(store, route)
        route = with_mixture(store, route, verdict=store.latest(Verdict))
        check_upper(route, config.endpoints)
        return rollout.start(
            store,
            route,
            RolloutTerms(
                task=task_of(project),
                stages=config.rollout.canary,
                shadow_share=config.rollout.shadow,
                max_p95_ms=config.rollout.max_p95_ms,
                requests_per_user=config.rollout.requests_per_user,
                window_s=config.rollout.window_minutes * 60,
                failure_window_s=config.rollout.failure_window_seconds,
                users_a_stage=config.rollout.users_a_stage,
                hours_a_stage=config.rollout.hours_a_stage,
                max_evidence_days=config.evidence.max_age_days,
            ),
            who=who,
            at=at,
        )


def _new_route(
    project: Project, store: Store, name: str, model: str | None, candidate_model: str | None
) -> Route:
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        raise UsageError(
            "there is no incumbent to move traffic from",
            hint="name it in freehold.toml: [incumbent] model, base_url, api_key_env",
        )
    if candidate_model is None:
        plan = store.latest(ServePlan)
        if plan is None:
            raise UsageError(
                "no candidate is served yet", hint="freehold migrate chooses one; or name it with --candidate"
            )
        candidate_model = plan.adapters[0].name if plan.adapters else plan.model
    return rollout.default_route(
        name,
        model or incumbent.model,
        candidate_model,
        incumbent=INCUMBENT,
        candidate=ENDPOINT_NAME,
    )
