"""What the traffic of a promoted model brings to its next generation: requests to prove by, and others to learn from.

A random share of *all* requests is audited: put to the incumbent as well, unless it has answered them already. Only
these prove anything, since what was passed on, or corrected by people, is not drawn at random. Once a generation was
looked at with them, audited requests teach the ones after it.

Which ones are audited is a hash of the trace's id, which the gateway draws: no client, and no answer, can influence it.
Places in the order of arrival bound what a generation sees, so a clock that jumped moves nothing. The incumbent's
answers are kept as traces beside the requests they answer, so that a person who is forgotten is forgotten in both.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import anyio
import msgspec

from freehold import __version__
from freehold.datasets.sampling import Recipe, sample_of
from freehold.datasets.tasks import is_selected
from freehold.errors import UsageError
from freehold.evals.replay import Replayed, ReplayOptions, answers
from freehold.progress import Progress
from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.types.generation import GenerationTraffic
from freehold.types.record import event_id
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.data.curate import recipe_of
from freehold.workflows.data.dataset import teaches, write_dataset
from freehold.workflows.project import Project, now
from freehold.workflows.prove.task import task_of
from freehold.workflows.watch.asking import expected_cost, incumbent_side, may_leave, request_cost

Role = Literal["audited", "deferred", "corrected"]
"""What a request of the route is to a generation."""

AUDIT = "audit"
"""The decision in the trace of an incumbent's answer that was asked for to prove by."""
_BATCH = 64
_MOST_CORRECTED, _CORRECTED_SHARE = 10, 0.02
"""Of what one user corrected, where requests name theirs, this many count, or this share of all traces where that is
more."""
_LEAST_CHOSEN_BY = 0.15
"""Of what is not audited, at least this share is put aside to choose thresholds by."""


def is_audited(trace_id: str, share: float) -> bool:
    """Whether a request is among the random `share`; one that is in a smaller share is in every larger one."""
    drawn = hashlib.blake2b(f"{AUDIT}:{trace_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64 < share


class Arrived(NamedTuple):
    """A request of the route, its place in the order of arrival, and what it is to a generation (None: nothing)."""

    place: int
    trace: Trace
    role: Role | None


def arrived(store: Store, route: Route, project: Project, *, after: int, upto: int) -> Iterator[Arrived]:
    """The candidate's requests of a route that arrived in these places, with their roles."""
    while rows := store.traces_after(after, most=1_000, route=route.name, own_only=True):
        after = rows[-1][0]
        for place, trace in rows:
            if place > upto:
                return
            if trace.arm == "candidate" and is_selected(trace, project.config.data):
                yield Arrived(place, trace, _role(project, trace))


def _role(project: Project, trace: Trace) -> Role | None:
    share = project.config.improve.audit_share
    whole = trace.kind == "chat" and trace.completeness == "complete" and trace.status < 400
    if not whole:
        return None
    if trace.fallback is None and is_audited(trace.id, share) and may_leave(project, trace):
        return "audited"
    if trace.gold is not None:
        return "corrected"
    return "deferred" if by_incumbent(trace) else None


def by_incumbent(trace: Trace) -> bool:
    """Whether the incumbent gave the answer that the client got."""
    return trace.arm == "incumbent" or (trace.deferral is not None and trace.deferral.by == "incumbent")


class Span(NamedTuple):
    """What arrived since the last generation: its roles, and how fast audited requests come."""

    found: GenerationTraffic
    audited: list[Trace]
    first_at: datetime | None = None
    last_at: datetime | None = None

    def days_for(self, audited: int) -> float | None:
        """Days until that many more are there at this rate; None where no rate is known."""
        if self.first_at is None or self.last_at is None or not self.audited:
            return None
        return audited * (self.last_at - self.first_at).total_seconds() / 86_400 / len(self.audited)


def span(store: Store, route: Route, project: Project, *, after: int, upto: int) -> Span:
    """Count what arrived in these places; audited requests in the order of their hash, so that the first ones of them
    are as random as all."""
    roles: Counter[Role] = Counter()
    audited: list[Trace] = []
    first, last, requests = None, None, 0
    for _, trace, role in arrived(store, route, project, after=after, upto=upto):
        requests += 1
        first, last = first or trace.at, trace.at
        if role is not None:
            roles[role] += 1
        if role == "audited":
            audited.append(trace)
    audited.sort(key=lambda one: hashlib.blake2b(one.id.encode(), digest_size=8).digest())
    found = GenerationTraffic(
        after=after,
        upto=upto,
        requests=requests,
        audited=roles["audited"],
        deferred=roles["deferred"],
        corrected=roles["corrected"],
    )
    return Span(found, audited, first, last)


class ToAsk(NamedTuple):
    """Audited requests without an answer of the incumbent that the budget of the generation suffices for; `usd` is what
    they cost at most, None where no price is known, and `beyond` how many it does not suffice for."""

    traces: list[Trace]
    usd: Decimal | None
    beyond: int


class Audit(NamedTuple):
    """What asking the incumbent came to: the requests that have its answer, how many were asked for that, now or
    before, and what that cost."""

    answered: dict[str, Trace]
    """By the id of the audited request: the trace with the incumbent's answer."""
    asked: int
    usd: Decimal | None
    beyond: int


def known_answers(store: Store, route: Route) -> dict[str, Trace]:
    """The incumbent's answers that were asked for to prove by, by the request they are of."""
    return {
        one.parent_id: one
        for one in store.traces(source_prefix=AUDIT)
        if one.parent_id is not None and one.route == route.name
    }


def to_ask(project: Project, audited: Sequence[Trace], known: dict[str, Trace]) -> ToAsk:
    """What is to be asked of these, the first ones that are affordable beside what was spent on them before."""
    missing = [one for one in audited if not by_incumbent(one) and one.id not in known]
    if not missing:
        return ToAsk([], Decimal(0), 0)
    try:
        total = _spent(project, audited, known) or Decimal(0)
        costs = [expected_cost(project, one) for one in missing]
    except UsageError:
        return ToAsk(missing, None, 0)
    left = project.config.improve.budget_usd - total
    count = sum(one <= left for one in accumulate(costs))
    return ToAsk(missing[:count], sum(costs[:count], Decimal(0)), len(missing) - count)


def _spent(project: Project, audited: Sequence[Trace], known: dict[str, Trace]) -> Decimal | None:
    """What the answers that were asked for these cost; None where none was."""
    usages = [known[one.id].usage for one in audited if one.id in known]
    return sum((request_cost(project, one) for one in usages if one), Decimal(0)) if usages else None


def audit(
    project: Project, store: Store, route: Route, audited: Sequence[Trace], progress: Progress
) -> Audit:
    """Ask the incumbent what it has not answered of these, within the budget, and keep each batch of answers as it
    comes. Raises what asking raises, and `UsageError` where no price is known to keep a budget with."""
    known = known_answers(store, route)
    wanted = to_ask(project, audited, known)
    if wanted.usd is None:
        expected_cost(project, wanted.traces[0])  # raises, and says how to state a price
    for first in range(0, len(wanted.traces), _BATCH):
        batch = wanted.traces[first : first + _BATCH]
        replies = anyio.run(partial(_ask, project, route, batch))
        new = [_answer_trace(one, reply) for one, reply in zip(batch, replies, strict=True)]
        kept = [one for one in new if one is not None]
        store.add_traces(kept)
        known |= {one.parent_id: one for one in kept if one.parent_id is not None}
        progress.update(first + len(batch), len(wanted.traces), unit="requests")
    own = {one.id: one for one in audited if by_incumbent(one)}
    asked = {one.id: known[one.id] for one in audited if one.id in known}
    return Audit(own | asked, len(asked), _spent(project, audited, known), wanted.beyond)


async def _ask(project: Project, route: Route, traces: Sequence[Trace]) -> list[Replayed]:
    endpoint, model = incumbent_side(project, route)
    recipe = Recipe(group_by=task_of(project).group_by)
    samples = [sample_of(one, recipe) for one in traces]
    return await answers(endpoint, model, samples, task_of(project), options=ReplayOptions(as_live=True))


def _answer_trace(asked: Trace, reply: Replayed) -> Trace | None:
    """The incumbent's answer as a trace beside the request, one that was cut as well, since the application would have
    got it; None where there was none."""
    answer, at = reply.answer, now()
    if answer.output is None or answer.fault == "infrastructure":
        return None
    message: dict[str, Any] = {"role": "assistant", "content": answer.output}
    if answer.finish_reason == "tool_calls":
        message = {"role": "assistant", "content": None, "tool_calls": msgspec.json.decode(answer.output)}
    return Trace(
        id=event_id(int(at.timestamp() * 1000)),
        at=at,
        source=f"{AUDIT}:{__version__}",
        model=asked.model,
        request=asked.request,
        response={"choices": [{"message": message, "finish_reason": answer.finish_reason}]},
        finish_reason=answer.finish_reason,
        route=asked.route,
        endpoint="incumbent",
        decision=AUDIT,
        parent_id=asked.id,
        conversation_id=asked.conversation_id,
        user=asked.user,
        usage=answer.usage,
        metadata=asked.metadata,
    )


class BuiltGeneration(NamedTuple):
    """The dataset of a generation, and what was left out of it, by reason."""

    dataset: Dataset
    left_out: dict[str, int]


def build(
    project: Project,
    store: Store,
    route: Route,
    traffic: GenerationTraffic,
    answered: dict[str, Trace],
    progress: Progress,
    *,
    learns: bool = True,
) -> BuiltGeneration:
    """The dataset of a generation: what was audited since the last one is held out; everything known before teaches,
    or is chosen by; what was deferred or corrected since teaches alone. Without `learns` nothing is taught that only
    the incumbent has answered since the promotion.

    Raises `UsageError` where a split would be empty.
    """
    left_out: Counter[str] = Counter()
    recipe = recipe_of(project, traces=store.count_traces())
    # Held-out samples of earlier proofs were looked at: they may teach now.
    recipe = msgspec.structs.replace(
        recipe,
        held_out=0.0,
        validation=max(recipe.validation, _LEAST_CHOSEN_BY),
        held_out_limit=None,
    )
    traces = _traces(project, store, route, traffic, answered, left_out, learns)
    built = write_dataset(project, traces, recipe, project.state / "datasets", progress)
    return BuiltGeneration(built.dataset, dict(left_out))


def _traces(
    project: Project,
    store: Store,
    route: Route,
    traffic: GenerationTraffic,
    answered: dict[str, Trace],
    left_out: Counter[str],
    learns: bool,
) -> Iterator[Trace]:
    """Everything a generation is made of: each request with the answer to learn and, where that is settled, its
    split."""
    older = known_answers(store, route)
    most = max(_MOST_CORRECTED, int(_CORRECTED_SHARE * (store.count_traces() or 0)))
    by_user: Counter[str | None] = Counter()
    for trace in store.traces(own_only=True):
        if trace.arm != "candidate" and teaches(trace):
            yield _in_split(trace, None)
    for place, trace, role in arrived(store, route, project, after=0, upto=traffic.upto):
        if role is None:
            continue
        if trace.gold is not None:
            by_user[trace.user] += trace.user is not None
            if by_user[trace.user] > most:
                left_out[f"corrected by one user, beyond {most:,}"] += 1
                trace = msgspec.structs.replace(trace, gold=None)
        fresh = place > traffic.after
        source = trace if by_incumbent(trace) else (answered if fresh else older).get(trace.id)
        if source is None and trace.gold is None:
            if role == "audited":
                left_out["audited, without an answer of the incumbent"] += 1
            continue
        if not learns and trace.gold is None and not (role == "audited" and fresh):
            left_out["the incumbent's answer, which may not be learned from: a label would teach"] += 1
            continue
        made = msgspec.structs.replace(
            trace, arm="incumbent", response=None if source is None else source.response, deferral=None
        )
        if role == "audited":
            if fresh and source is None:
                continue  # without the incumbent's answer it compares nothing
            yield _in_split(made, "held_out" if fresh else None)
        else:
            yield _in_split(made, "train")


def _in_split(trace: Trace, split: str | None) -> Trace:
    """The trace with the split it must be in; None leaves it to the recipe, whatever was said of it before."""
    metadata = {name: value for name, value in trace.metadata.items() if name != "split"}
    if split is not None:
        metadata["split"] = split
    return msgspec.structs.replace(trace, metadata=metadata)
