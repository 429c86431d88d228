"""A project's rollout: where its route, candidate and settings come from, whether its engine can hold answers to the
schemas of the traffic, and the rule of the mixture that it moves to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from freehold.engines.constraints import unenforced
from freehold.errors import UsageError
from freehold.gateway.config import other_address
from freehold.store import Store, open_store
from freehold.types.config import EndpointConfig
from freehold.types.dataset import Dataset
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, INCUMBENT, ServePlan, is_own
from freehold.types.engine import EngineName
from freehold.types.mixture import Mixture
from freehold.types.rollout import Check, Rollout, RolloutTerms
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.prove.mixed import agreement_shift
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.decision import served_id, served_plans
from freehold.workflows.shift.routes import endpoint_names

SEEN_TRACES = 2_000
_SHOWN = 3


def check_schemas(store: Store, route: Route) -> None:
    """Raises `UsageError` when the route's traffic promises what the engine of its candidate skips.

    Schemas are those the newest traces carry. What a remote endpoint can hold is its own to say.
    """
    if route.candidate is None or not is_own(route.candidate.endpoint):
        return
    plan = next(iter(served_plans(store, route.candidate.endpoint)), None)
    if plan is None:
        return
    traces = (trace for trace in store.latest_traces(SEEN_TRACES) if trace.model == route.model)
    skipped_parts = skipped(traces, plan.engine)
    if skipped_parts:
        more = f" and {len(skipped_parts) - _SHOWN} more" if len(skipped_parts) > _SHOWN else ""
        raise UsageError(
            f"the engine {plan.engine} cannot hold answers to a schema of this traffic: "
            f"{'; '.join(skipped_parts[:_SHOWN])}{more}",
            hint="say it otherwise in the schema, serve with another engine, or let the gateway check each answer and "
            "leave broken ones to the incumbent: freehold rollout start --loose-schemas",
        )


def skipped(traces: Iterable[Trace], engine: EngineName) -> list[str]:
    """What an engine skips of the traces' schemas, each once."""
    schemas = {msgspec.json.encode(schema): schema for trace in traces for schema in _schemas(trace.request)}
    return list(dict.fromkeys(what for schema in schemas.values() for what in unenforced(schema, engine)))


def _schemas(request: dict[str, Any]) -> Iterator[Any]:
    """What answers must meet: the text's schema, and the parameters of tools that are called strictly."""
    form = request.get("response_format")
    if isinstance(form, dict) and isinstance(inner := form.get("json_schema"), dict):
        yield inner.get("schema")
    for tool in request.get("tools") or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("strict"):
            yield function.get("parameters")


_AGAIN = "freehold migrate, or freehold defer plan, proves one for what is served now"


def with_mixture(store: Store, route: Route, *, verdict: Verdict | None) -> Route:
    """The route with the rule that was proven, without one where the verdict is on the candidate alone.

    Raises `UsageError` for a stale mixture (proven for another candidate than the one served, or on another dataset
    than the present one), and for one from which a check took the traffic.
    """
    if verdict is None or verdict.mixture_id is None:
        return msgspec.structs.replace(route, deferral=None)
    mixture = store.get(Mixture, verdict.mixture_id)
    if mixture is None or mixture.rule is None or not mixture.is_proven:
        raise UsageError(
            f"the verdict {verdict.id[:12]} is on the combination {verdict.mixture_id[:12]}, which is not in the store",
            hint=_AGAIN,
        )
    _refuse_other_candidate(store, route, mixture.rule)
    refuse_alarmed(store, mixture)
    dataset = store.latest(Dataset)
    if dataset is not None and dataset.id != mixture.dataset_id:
        raise UsageError(
            f"the combination {mixture.id[:12]} was proven on the dataset {mixture.dataset_id[:12]}, and the present "
            f"one is {dataset.id[:12]}",
            hint=_AGAIN,
        )
    return msgspec.structs.replace(route, deferral=mixture.rule)


def check_upper(route: Route, endpoints: Iterable[EndpointConfig]) -> None:
    """Raise `UsageError` where the upper model of the route's rule is not where it was asked for the proof."""
    upper = None if route.deferral is None else route.deferral.upper
    if route.deferral is None or upper is None:
        return
    address = next((one.base_url for one in endpoints if one.name == upper.endpoint), None)
    if (other := other_address(route.deferral, upper, address)) is not None:
        raise UsageError(other, hint=f"give [[endpoints]] {upper.endpoint} that base_url again; or {_AGAIN}")


def refuse_alarmed(store: Store, mixture: Mixture) -> None:
    """Raise `UsageError` for a mixture that broke its promise: only a new verdict brings one back."""
    for one in store.records(Check):
        if (
            one.alarm
            and one.action != "none"
            and one.mixture is not None
            and one.mixture.mixture_id == mixture.id
        ):
            raise UsageError(
                f"the combination {mixture.id[:12]} did not keep its promise: freehold watch took the traffic from it "
                f"on {one.at:%Y-%m-%d}",
                hint="prove a new one on newer traffic: freehold dataset build, freehold migrate",
            )


def _refuse_other_candidate(store: Store, route: Route, rule: DeferralRule) -> None:
    if (problem := rule.problem) is not None:
        raise UsageError(f"the rule of the combination cannot be used: {problem}", hint=_AGAIN)
    tier, named = rule.candidate, None if route.candidate is None else route.candidate.model
    if named is not None and named != tier.model:
        raise UsageError(
            f"the combination was proven for {tier.model}, and the route's candidate is {named}",
            hint=f"--candidate {tier.model}, or freehold defer plan for {named}",
        )
    endpoint = ENDPOINT_NAME if route.candidate is None else route.candidate.endpoint
    served = served_id(store, tier.model, endpoint)
    if served is not None and served != tier.identity:
        raise UsageError(
            f"the combination was proven for {tier.model} with the identity {(tier.identity or '')[:12]}, and what is "
            f"served under that name now is {served[:12]}",
            hint=_AGAIN,
        )


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
        verdict = store.latest(Verdict)
        route = with_mixture(store, route, verdict=verdict)
        check_upper(route, config.endpoints)
        return rollout.start(
            store,
            route,
            RolloutTerms(
                task=task_of(project),
                agreement=agreement_shift(
                    store,
                    task_of(project),
                    route.deferral,
                    None if verdict is None else verdict.id,
                    only_sure=False,
                ),
                stages=config.rollout.canary,
                shadow_share=config.rollout.shadow,
                max_p95_ms=config.rollout.max_p95_ms,
                errors_below=config.rollout.errors_below,
                users_a_stage=config.rollout.users_a_stage,
                hours_a_stage=config.rollout.hours_a_stage,
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
