"""`freehold watch`: is the promoted model still as good as it was? A small check, again and again.

A check takes requests of the last period at random, asks the incumbent (or takes what it froze), scores both, and puts
the period's e-value into a detector; the price is worked out and capped before anybody is asked. Beside it, without
asking anybody: has what comes in or goes out changed? Alarms go to hooks; where the owner wishes, traffic goes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import anyio
import msgspec

from freehold.costs.prices import TokenPrice, request_price
from freehold.datasets import building
from freehold.datasets.building import Recipe, answer_of, sample_of
from freehold.errors import FreeholdError, UsageError
from freehold.evals.chat.requests import recorded_parameters
from freehold.evals.frozen import with_frozen
from freehold.evals.replay import Replayed, answers
from freehold.evals.scoring import scorer_of
from freehold.stats.drift import EDetector, period_e_value, smallest_drop_found
from freehold.store import Store
from freehold.types.config import WatchConfig
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.types.progress import Progress, Silent
from freehold.types.record import StoredRecord, event_id
from freehold.types.rollout import FEWEST_PAIRS, Against, Check
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift import alerts, routes
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.ledger import unit_of
from freehold.workflows.watch.drift import Baseline, baseline, drifts

MOST_TRACES = 20_000


class WatchState(StoredRecord, frozen=True, kw_only=True):
    """What the checks of a route have learned. Begins anew after an action."""

    kind: ClassVar[str] = "watch_state"
    key_field: ClassVar[str] = "route"

    route: str
    promoted_revision: int
    last_at: datetime | None = None
    quality: EDetector = EDetector()
    drift: dict[str, EDetector] = {}
    baseline: Baseline | None = None


class Plan(NamedTuple):
    """What a check will ask, and what it will cost at most. `estimated_usd` is None where nothing is paid for."""

    against: Against
    samples: list[Sample]
    given: list[str | None]
    """The candidate's answers where they are known (live), the incumbent's where they are frozen."""
    estimated_usd: Decimal | None
    notes: tuple[str, ...]
    parameters: dict[str, dict[str, Any]] = {}
    """A sample's own request parameters, where it was captured with some."""


def check(
    project: Project,
    store: Store,
    route_name: str,
    *,
    at: datetime,
    config: WatchConfig | None = None,
    url: str | None = None,
    planned: Callable[[Plan], None] = lambda _: None,
    progress: Progress | None = None,
) -> Check:
    """Check a promoted route once, keep what was found, tell the hooks, and act as the owner wishes.

    `planned` is called with the plan and its price before anybody is asked. Raises `UsageError` for a route that is not
    promoted or cannot be compared with anything, and what asking raises.
    """
    config = config or project.config.watch
    progress = progress or Silent()
    route = routes.find(store, route_name)
    if route.state != "promoted" or route.candidate is None:
        raise UsageError(
            f"the route {route_name} is {route.state}: only a promoted one is watched",
            hint="freehold rollout status shows how far it is",
        )
    state = _state(store, route)
    since = state.last_at or at - timedelta(hours=config.every_hours)
    recent = list(_recent(store, route, since, at))
    task = task_of(project)
    plan = _plan(project, store, route, recent, config, seed=f"{route_name}:{state.quality.periods}")
    planned(plan)
    differences, unscored, spent = anyio.run(_asked, project, route, plan, task, url, progress)
    e_value = period_e_value(differences, task.margin) if differences else 1.0
    quality = state.quality.update(e_value) if len(differences) >= FEWEST_PAIRS else state.quality
    then = state.baseline or _baseline(store, route)
    seen, detectors = drifts(recent, then, state.drift) if then is not None else ((), state.drift)
    notes = list(plan.notes)
    if then is None:
        notes.append("drift: too few traces from before the promotion to compare with")
    made = Check(
        id=event_id(int(at.timestamp() * 1000)),
        route=route_name,
        at=at,
        against=plan.against,
        period=quality.periods,
        planned=len(plan.samples),
        estimated_usd=plan.estimated_usd,
        budget_usd=config.budget_usd,
        spent_usd=spent,
        pairs=len(differences),
        unscored=unscored,
        difference=sum(differences) / len(differences) if differences else None,
        e_value=e_value,
        statistic=max(quality.cusum, quality.shiryaev_roberts),
        alarm=quality.alarm(),
        smallest_drop=smallest_drop_found(max(1, len(differences)), margin=task.margin),
        drift=seen,
    )
    action, troubles = _act(project, store, route, made, config, at)
    made = msgspec.structs.replace(made, action=action, notes=(*notes, *troubles))
    after = WatchState(
        route=route_name,
        promoted_revision=state.promoted_revision,
        last_at=at,
        quality=EDetector() if made.alarm else quality,
        drift={name: EDetector() if one.alarm() else one for name, one in detectors.items()},
        baseline=then,
    )
    store.put(after)
    store.put(made)
    return made


def next_due(store: Store, route_name: str, config: WatchConfig, *, at: datetime) -> datetime:
    """When the next check is due; at once where there was none."""
    state = store.get(WatchState, route_name)
    if state is None or state.last_at is None:
        return at
    return state.last_at + timedelta(hours=config.every_hours)


def history(store: Store, route_name: str) -> list[Check]:
    """All checks of a route, oldest first."""
    return [one for one in store.records(Check) if one.route == route_name]


def failed(project: Project, route_name: str, error: FreeholdError, *, at: datetime) -> tuple[str, ...]:
    """Tell the hooks that a check could not be made: silence must not look like health."""
    alarm = alerts.Alarm(
        kind="check_failed", app=project.config.app.name, route=route_name, at=at, why=error.message
    )
    return alerts.send(alarm, project.config.watch)


def _state(store: Store, route: Route) -> WatchState:
    promoted = max(
        (
            line.revision
            for line in store.route_history(route.name)
            if line.route is not None and line.route.state == "promoted"
        ),
        default=0,
    )
    first = _first_of_run(store, route, promoted)
    known = store.get(WatchState, route.name)
    if known is not None and known.promoted_revision == first:
        return known
    return WatchState(route=route.name, promoted_revision=first)


def _first_of_run(store: Store, route: Route, last: int) -> int:
    """The revision at which the route became promoted, as it still is."""
    first = last
    for line in reversed(store.route_history(route.name)):
        if line.route is None or line.route.state != "promoted":
            break
        first = line.revision
    return first


def _recent(store: Store, route: Route, since: datetime, until: datetime) -> list[Trace]:
    """The candidate's traffic of a period, at most `MOST_TRACES` of the latest."""
    found = store.latest_traces(
        MOST_TRACES, route=route.name, since=since, until=until, complete_only=False, own_only=True
    )
    return [trace for trace in reversed(found) if trace.arm == "candidate"]


def _baseline(store: Store, route: Route) -> Baseline | None:
    first = _first_of_run(store, route, route.revision)
    at = next((line.at for line in store.route_history(route.name) if line.revision == first), None)
    if at is None:
        return None
    before = store.latest_traces(MOST_TRACES, route=route.name, until=at, complete_only=False)
    return baseline(
        [trace for trace in before if trace.parent_id is None],
        [trace for trace in before if trace.arm == "candidate"],
    )


def _plan(
    project: Project, store: Store, route: Route, recent: Sequence[Trace], config: WatchConfig, *, seed: str
) -> Plan:
    incumbent = project.config.incumbent
    can_ask = incumbent is not None and incumbent.base_url is not None
    if config.against == "frozen" or (config.against == "auto" and not can_ask):
        return _frozen_plan(project, store, config, seed)
    if not can_ask:
        raise UsageError("there is no incumbent to ask", hint="[incumbent] base_url; or --against frozen")
    chosen: dict[str, Trace] = {}
    fresh = [trace for trace in recent if _comparable(trace)]
    # By a hash, so that the choice knows nothing of the answers; one request a user.
    for trace in sorted(fresh, key=lambda one: _place(seed, one.id)):
        chosen.setdefault(unit_of(trace), trace)
    traces = list(chosen.values())[: config.requests]
    each = [_price(project, trace) for trace in traces]
    kept, total = 0, Decimal(0)
    for cost in each:
        if total + cost > config.budget_usd:
            break
        kept, total = kept + 1, total + cost
    notes = []
    if kept < len(traces):
        notes.append(f"the budget of {config.budget_usd} USD is enough for {kept} of {len(traces)} requests")
    if len(traces) < config.requests:
        notes.append(f"{len(traces)} users asked in this period, {config.requests} were wished for")
    recipe = Recipe(group_by=task_of(project).group_by)
    samples = [sample_of(trace, recipe) for trace in traces[:kept]]
    return Plan(
        "live",
        samples,
        [answer_of(trace) for trace in traces[:kept]],
        total,
        tuple(notes),
        {
            sample.id: recorded_parameters(trace.request)
            for sample, trace in zip(samples, traces, strict=False)
        },
    )


def _frozen_plan(project: Project, store: Store, config: WatchConfig, seed: str) -> Plan:
    dataset = find_dataset(store)
    held_out = list(building.samples(dataset, "held_out"))
    filled, _ = with_frozen(held_out, frozen_answers(project, dataset))
    usable = [sample for sample in filled if sample.incumbent is not None]
    if not usable:
        raise UsageError(
            "no answers of the incumbent are frozen",
            hint="freehold freeze records them while it still exists; or set [incumbent] base_url",
        )
    samples = sorted(usable, key=lambda sample: _place(seed, sample.id))[: config.requests]
    return Plan("frozen", samples, [sample.incumbent for sample in samples], None, ())


async def _asked(
    project: Project, route: Route, plan: Plan, task: Task, url: str | None, progress: Progress
) -> tuple[list[float], int, Decimal | None]:
    """The differences, how many pairs could not be scored, and what was spent."""
    if not plan.samples:
        return [], 0, None
    endpoint, model = _whom(project, route, plan, url)
    progress.step(f"ask {model} {len(plan.samples)} requests")
    replies = await answers(
        endpoint,
        model,
        plan.samples,
        task,
        on_progress=lambda done, of: progress.update(done, of, unit="requests"),
        parameters=lambda sample: plan.parameters.get(sample.id, {}),
    )
    differences, unscored = [], 0
    async with scorer_of(task) as scorer:
        for sample, known, reply in zip(plan.samples, plan.given, replies, strict=True):
            told = reply.answer.output if reply.answer.fault != "infrastructure" else None
            incumbent, candidate = (told, known) if plan.against == "live" else (known, told)
            if incumbent is None or (candidate is None and plan.against == "frozen"):
                unscored += 1
                continue
            reference = sample.gold if sample.gold is not None else incumbent
            mine = (await scorer.score(sample, candidate, reference)).value if candidate is not None else 0.0
            its = 1.0 if sample.gold is None else (await scorer.score(sample, incumbent, reference)).value
            if mine is None or its is None:
                unscored += 1
            else:
                differences.append(max(-1.0, min(1.0, mine - its)))
    return differences, unscored, _spent(project, plan, replies)


def _spent(project: Project, plan: Plan, replies: Sequence[Replayed]) -> Decimal | None:
    if plan.against == "frozen":
        return None
    total = Decimal(0)
    for reply in replies:
        usage = reply.answer.usage
        if not reply.cached and usage is not None and usage.prompt_tokens is not None:
            total += _cost(
                project, usage.prompt_tokens, usage.completion_tokens or 0, usage.cached_prompt_tokens or 0
            )
    return total


def _whom(project: Project, route: Route, plan: Plan, url: str | None) -> tuple[Endpoint, str]:
    incumbent = project.config.incumbent
    if plan.against == "live":
        assert incumbent is not None and incumbent.base_url is not None
        base = incumbent.base_url.rstrip("/").removesuffix("/v1")
        name = route.incumbent.model or incumbent.model
        return (
            Endpoint(
                name="incumbent",
                engine="remote",
                base_url=base,
                api=incumbent.api,
                api_key_env=incumbent.api_key_env,
            ),
            name,
        )
    assert route.candidate is not None
    settings = project.settings
    base = url or f"http://{settings.host}:{project.config.serve.port or settings.port}"
    return (
        Endpoint(name="candidate", engine="remote", base_url=base.rstrip("/").removesuffix("/v1")),
        route.candidate.model or route.model,
    )


def _comparable(trace: Trace) -> bool:
    return trace.kind == "chat" and trace.completeness == "complete" and trace.fallback is None


def _price(project: Project, trace: Trace) -> Decimal:
    """What asking the incumbent this is expected to cost, from what the candidate's answer took, twice as long."""
    usage = trace.usage
    prompt = (
        usage.prompt_tokens if usage and usage.prompt_tokens else len(msgspec.json.encode(trace.request)) // 3
    )
    answer = usage.completion_tokens if usage and usage.completion_tokens else 256
    return _cost(project, prompt, 2 * answer, 0)


def _cost(project: Project, prompt: int, completion: int, cached: int) -> Decimal:
    incumbent = project.config.incumbent
    assert incumbent is not None
    flat = incumbent.price
    try:
        return request_price(
            incumbent.model,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_prompt_tokens=cached,
            flat=None if flat is None else TokenPrice(flat.prompt, flat.completion, flat.cached_prompt),
        )
    except UsageError:
        raise UsageError(
            f"no price of {incumbent.model} is known, so no budget can be kept",
            hint="[incumbent] price = { prompt = 2.5, completion = 10 } (dollars per million tokens)",
        ) from None


def _act(
    project: Project, store: Store, route: Route, made: Check, config: WatchConfig, at: datetime
) -> tuple[str, tuple[str, ...]]:
    """Move traffic where the owner wishes it, and tell the hooks. Drift alone moves nothing."""
    troubles: list[str] = []
    action = "none"
    if made.alarm:
        why = f"watch: quality {made.difference:+.3f}, statistic {made.statistic:.3g} reached 200"
        if config.on_alarm == "rollback":
            rollout.rollback_route(store, route.name, who="freehold", at=at, why=why)
            action = "rolled_back"
        elif config.on_alarm == "shadow":
            moved = msgspec.structs.replace(route, state="shadow", shadow_share=route.shadow_share or 0.2)
            store.save_route(moved, who="freehold", at=at, why=why, expected_revision=route.revision)
            action = "shadow"
        troubles += alerts.send(
            alerts.Alarm(
                kind="quality", app=project.config.app.name, route=route.name, at=at, why=why, action=action
            ),
            config,
        )
    changed = [one for one in made.drift if one.alarm]
    if changed:
        why = ", ".join(f"{one.name} {one.baseline:.1%} → {one.share:.1%}" for one in changed)
        troubles += alerts.send(
            alerts.Alarm(kind="drift", app=project.config.app.name, route=route.name, at=at, why=why), config
        )
    return action, tuple(troubles)


def _place(seed: str, id: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{id}".encode(), digest_size=8).digest()
