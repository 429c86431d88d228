import msgspec
import pytest
from tests.report.sample_mixture import mixture

from freehold.errors import UsageError
from freehold.types.endpoint import ServePlan
from freehold.types.route import Route, Target
from freehold.types.verdict import Verdict
from freehold.workflows.shift.rollout.project import with_mixture

ROUTE = Route(
    name="r", model="m", incumbent=Target(endpoint="i"), candidate=Target(endpoint="local", model="small:app")
)


def verdict(mixture_id):
    return Verdict(
        id="v" * 32,
        outcome="promote",
        candidate="small:app",
        incumbent="rented-1",
        reasons=(),
        mixture_id=mixture_id,
    )


def test_the_proven_rule_is_put_on_the_route_and_taken_off(store):
    made = mixture()
    store.put(made)
    ruled = with_mixture(store, ROUTE, verdict=verdict(made.id))
    assert ruled.deferral == made.rule
    assert with_mixture(store, ruled, verdict=verdict(None)).deferral is None
    assert with_mixture(store, ruled, verdict=None).deferral is None


def test_one_that_is_gone_or_not_proven_is_refused(store):
    with pytest.raises(UsageError, match="which is not in the store"):
        with_mixture(store, ROUTE, verdict=verdict("gone"))
    store.put(mixture(losses=100))
    with pytest.raises(UsageError, match="not in the store"):
        with_mixture(store, ROUTE, verdict=verdict("m" * 32))


def test_another_candidate_is_refused_with_both_named(store):
    made = mixture()
    store.put(made)
    other = msgspec.structs.replace(ROUTE, candidate=Target(endpoint="local", model="large:app"))
    with pytest.raises(UsageError, match=r"proven for small:app.*large:app"):
        with_mixture(store, other, verdict=verdict(made.id))
    plan = ServePlan(engine="echo", model="small:app", options={"default": "x"})
    store.put(plan)
    with pytest.raises(UsageError, match=f"{made.rule.candidate.identity[:12]}.*{plan.candidate_id()[:12]}"):
        with_mixture(store, ROUTE, verdict=verdict(made.id))
