"""Projects in the states that a console is looked at in: each function fills a store and returns its route's name."""

import random
from datetime import UTC, datetime, timedelta

from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.types.trace import Trace, Usage
from freehold.workflows.shift.rollout import rollout

ROUTE = "support"
QUESTIONS = ("Where is my parcel?", "I want my money back", "The box was empty", "Change my address, please")
LABELS = ("delivery", "refund", "complaint", "account")


def request(draw, number, at, **changes):
    """A request of a customer and its answer, as a gateway keeps it."""
    at_question = draw.randrange(len(QUESTIONS))
    asked = [
        {"role": "system", "content": "Name the intent in one word."},
        {"role": "user", "content": QUESTIONS[at_question]},
    ]
    given = {
        "id": f"01990000-0000-7000-8000-{draw.getrandbits(48):012x}",
        "at": at,
        "source": "gateway",
        "model": "gpt-4o",
        "request": {"model": "gpt-4o", "messages": asked, "temperature": 0},
        "response": {
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {"message": {"role": "assistant", "content": LABELS[at_question]}, "finish_reason": "stop"}
            ],
        },
        "route": ROUTE,
        "arm": "incumbent",
        "share": 1.0,
        "endpoint": "incumbent",
        "assignment_key": f"user-{number}",
        "user": f"user-{number % 40}",
        "api_key": "app-eu",
        "ttft_ms": draw.lognormvariate(5.6, 0.3),
        "total_ms": draw.lognormvariate(6.2, 0.4),
        "usage": Usage(prompt_tokens=draw.randrange(80, 400), completion_tokens=draw.randrange(2, 8)),
        "status": 502 if draw.random() < 0.01 else 200,
    }
    return Trace(**given | changes)


def mirrored(draw, number, own):
    """The candidate's answer to the same request."""
    wrong = draw.random() < 0.06
    answer = {
        "role": "assistant",
        "content": "other" if wrong else own.response["choices"][0]["message"]["content"],
    }
    return request(
        draw, number, own.at, request=own.request,
        response={"model": "qwen3-0.6b:support", "choices": [{"message": answer, "finish_reason": "stop"}]},
        arm="candidate", endpoint="local", parent_id=own.id, assignment_key=own.assignment_key, user=own.user,
        total_ms=draw.lognormvariate(4.6, 0.3), ttft_ms=draw.lognormvariate(3.9, 0.3), status=200,
    )  # fmt: skip


def traffic(store, *, requests=400, minutes=60.0, seed=0, candidate=0.0):
    """Requests up to now, each mirrored; a share of the users is answered by the candidate."""
    draw, now = random.Random(seed), datetime.now(UTC)
    traces = []
    for number in range(requests):
        at = now - timedelta(minutes=minutes * (1 - (number + 1) / (requests + 1)))
        at_home = draw.random() < candidate
        own = request(draw, number, at, share=candidate if at_home else 1 - candidate)
        if at_home:
            own = mirrored(draw, number, own)
            traces.append(
                request(
                    draw,
                    number,
                    at,
                    response=own.response,
                    arm="candidate",
                    endpoint="local",
                    share=candidate,
                    total_ms=own.total_ms,
                    status=200,
                )
            )
            continue
        traces += [own, mirrored(draw, number, own)]
    store.add_traces(traces)


def begin(store, *, hours=2.0):
    """A rollout that mirrors everything; its gates are those of an hour, so that a test can pass them."""
    route = Route(
        name=ROUTE,
        model="gpt-4o",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="local", model="qwen3-0.6b:support"),
    )
    terms = RolloutTerms(
        task=Task(name=ROUTE, scorer="exact", margin=0.1),
        stages=(0.1, 0.5),
        shadow_share=1.0,
        requests_per_user=1,
        window_s=30.0,
        hours_a_stage=0.0,
    )
    rollout.start(store, route, terms, who="ada", at=datetime.now(UTC) - timedelta(hours=hours))


def mirroring(store):
    """A rollout under way: mirrored traffic, tests that have learned."""
    begin(store)
    traffic(store)
    rollout.step(store, ROUTE)


def canary(store):
    """The candidate answers a tenth of the users."""
    mirroring(store)
    skipped = ("harm", "verdict")
    rollout.advance(store, ROUTE, who="ada", at=datetime.now(UTC), without=skipped, why="the team agreed")
    traffic(store, requests=300, minutes=1, seed=5, candidate=0.1)
    rollout.step(store, ROUTE)


def promoted(store):
    """All traffic is the candidate's."""
    mirroring(store)
    now = datetime.now(UTC)
    rollout.promote(store, ROUTE, who="ada", at=now, without=rollout.GATES, why="it is good enough")


def rolled_back(store):
    """A rollout that went back."""
    mirroring(store)
    rollout.rollback(store, ROUTE, who="ada", at=datetime.now(UTC), why="complaints from two shops")


STATES = {"mirroring": mirroring, "canary": canary, "promoted": promoted, "rolled back": rolled_back}
