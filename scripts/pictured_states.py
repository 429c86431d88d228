"""The projects that `scripts/pictures` shows: a finished demo, and the one that the console's browser tests open.

The demo holds no gateway's traffic. Its held-out messages are put into a rollout as a gateway would have kept them:
both answers are those that were measured; who asked when is drawn by lot, and so is the incumbent's time, since its
answers are frozen.
"""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from tests.console import states
from tests.console.states import ROUTE
from tests.workflows.tell.views import evidence

from freehold.store import Store, open_store
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import EvalResult
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.types.trace import Trace, Usage
from freehold.workflows.project import Project, open_project
from freehold.workflows.shift.rollout import rollout

SERVICE = """
[app]
name = "tickets"
[incumbent]
model = "tickets-incumbent"
[use]
mode = "hosted_service"
commercial = true
monthly_active_users = 120_000
regions = ["EU"]
"""
CANARY_SHARE = 0.1
MIRRORED_MINUTES, CANARY_MINUTES = 55.0, 15.0
"""How long ago the traffic began, and the candidate began to answer."""
REQUESTS_A_MINUTE = 30.0


def example(folder: Path) -> Project:
    """The project of the tests: data, runs, an evaluation and its report, a canary. All of it is invented."""
    project, _ = evidence.whole(folder)
    return _in_a_thread(project, _tests_canary)


def _tests_canary(store: Store) -> None:
    """As `states.canary`, where the evidence of an invented verdict holds for nothing."""
    states.mirroring(store)
    now = datetime.now(UTC)
    skipped = ("harm", "evidence", "verdict", "parity")
    rollout.advance(store, ROUTE, who="ada", at=now, without=skipped, why="the team agreed")
    states.traffic(store, requests=300, minutes=1, seed=5, candidate=CANARY_SHARE)
    rollout.step(store, ROUTE)


def finished_demo(demo: Path, folder: Path) -> Project:
    """A copy of a demo that ran to its end, with a rollout of what it proved."""
    shutil.copytree(demo, folder / "demo", ignore=shutil.ignore_patterns("*.safetensors", "*.gguf", "*.onnx"))
    project = open_project(folder / "demo" / "freehold.toml", must_exist=True)
    return _in_a_thread(project, lambda store: _canary(project, store))


def service(folder: Path) -> Project:
    """The same application as a service that others use: the demo's own post room, inside a company, has no duties."""
    folder.mkdir()
    (folder / "freehold.toml").write_text(SERVICE)
    return open_project(folder / "freehold.toml", must_exist=True)


def _in_a_thread(project: Project, fill) -> Project:  # type: ignore[no-untyped-def]
    """A browser's event loop may run in this thread, and scoring pairs begins one of its own."""

    def filled() -> None:
        with open_store(project.store_url) as store:
            fill(store)

    with ThreadPoolExecutor(1) as aside:
        aside.submit(filled).result()
    return project


def _canary(project: Project, store: Store) -> None:
    """A rollout that mirrors and then answers a tenth of the users, with the demo's own messages and answers."""
    evaluation = store.latest(Evaluation)
    if evaluation is None or evaluation.results_file is None:
        raise SystemExit("this demo proved nothing yet: run freehold demo to its end")
    items = _items(evaluation)
    name, now = project.config.app.name, datetime.now(UTC)
    route = Route(
        name=name,
        model=evaluation.incumbent,
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="local", model=evaluation.candidate),
    )
    terms = RolloutTerms(
        task=evaluation.task,
        stages=(CANARY_SHARE, 0.5),
        shadow_share=1.0,
        requests_per_user=1,
        window_s=30.0,
        hours_a_stage=0.0,
    )
    draw = random.Random(1)
    began, advanced = now - timedelta(minutes=MIRRORED_MINUTES), now - timedelta(minutes=CANARY_MINUTES)
    rollout.start(store, route, terms, who="ada", at=began - timedelta(hours=1))
    store.add_traces(_traffic(draw, evaluation, items, name, between=(began, advanced), candidate_share=0.0))
    rollout.step(store, name, at=advanced)
    skipped = ("harm", "evidence", "verdict", "parity")
    rollout.advance(store, name, who="ada", at=advanced, without=skipped, why="the team agreed")
    last = now - timedelta(minutes=1)
    store.add_traces(
        _traffic(draw, evaluation, items, name, between=(advanced, last), candidate_share=CANARY_SHARE)
    )
    rollout.step(store, name, at=now)


def _traffic(
    draw: random.Random,
    evaluation: Evaluation,
    items: list[ItemResult],
    route: str,
    *,
    between: tuple[datetime, datetime],
    candidate_share: float,
) -> list[Trace]:
    """Requests of other users each, mirrored where the incumbent answers."""
    first, last = between
    seconds = (last - first).total_seconds()
    traces: list[Trace] = []
    for after in sorted(draw.uniform(0, seconds) for _ in range(round(REQUESTS_A_MINUTE * seconds / 60))):
        item, at = draw.choice(items), first + timedelta(seconds=after)
        ours = draw.random() < candidate_share
        share = candidate_share if ours else 1 - candidate_share
        own = _trace(draw, route, at, item, evaluation, arm="candidate" if ours else "incumbent", share=share)
        traces.append(own)
        if not ours:
            traces.append(
                _trace(draw, route, at, item, evaluation, arm="candidate", share=share, mirrors=own)
            )
    return traces


def _items(evaluation: Evaluation) -> list[ItemResult]:
    lines = Path(str(evaluation.results_file)).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=ItemResult) for line in lines]


def _trace(
    draw: random.Random,
    route: str,
    at: datetime,
    item: ItemResult,
    evaluation: Evaluation,
    *,
    arm: Literal["incumbent", "candidate"],
    share: float,
    mirrors: Trace | None = None,
) -> Trace:
    """One request as a gateway keeps it ."""
    answered: EvalResult = item.candidate if arm == "candidate" else item.incumbent
    total_ms = answered.total_ms if arm == "candidate" else draw.lognormvariate(6.2, 0.4)
    text = answered.output or ""
    user = f"user-{draw.randrange(10**6)}" if mirrors is None else mirrors.user
    return Trace(
        id=f"01990000-0000-7000-8000-{draw.getrandbits(48):012x}",
        at=at,
        source="gateway",
        model=evaluation.incumbent,
        request={
            "model": evaluation.incumbent,
            "messages": [{"role": one.role, "content": one.content} for one in item.sample.messages],
        },
        response={
            "model": evaluation.candidate if arm == "candidate" else evaluation.incumbent,
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        },
        route=route,
        arm=arm,
        endpoint="local" if arm == "candidate" else "incumbent",
        share=share,
        parent_id=None if mirrors is None else mirrors.id,
        assignment_key=user,
        user=user,
        gold=item.sample.gold,
        ttft_ms=total_ms,
        total_ms=total_ms,
        usage=Usage(prompt_tokens=len(str(item.sample.messages)) // 4, completion_tokens=2),
    )
