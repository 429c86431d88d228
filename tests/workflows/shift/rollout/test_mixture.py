import pytest
from tests.report.sample_mixture import mixture

from freehold.errors import UsageError
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


def test_one_that_is_gone_or_not_proven_is_refused(store):
    with pytest.raises(UsageError, match="which is not in the store"):
        with_mixture(store, ROUTE, verdict=verdict("gone"))
    store.put(mixture(losses=100))
    with pytest.raises(UsageError, match="not in the store"):
        with_mixture(store, ROUTE, verdict=verdict("m" * 32))
