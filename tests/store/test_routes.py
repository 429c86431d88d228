from datetime import timedelta

import msgspec
import pytest
from tests.store.examples import NOON

from freehold.errors import RevisionError, StoreError
from freehold.types.deferral import Calibration, DeferralRule
from freehold.types.route import Route, Target


def test_a_route_has_a_history_and_every_change_moves_the_revision(store):
    assert store.routes() == [] and store.routes_revision() == 0
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, why="set up")
    shadowed = msgspec.structs.replace(saved, state="shadow")
    store.save_route(shadowed, who="bo", at=NOON + timedelta(hours=1), verdict_id="v1")
    assert [found.state for found in store.routes()] == ["shadow"]
    assert store.routes_revision() == 2
    assert store.delete_route("support", who="ada", at=NOON + timedelta(hours=2), why="moved")
    assert not store.delete_route("support", who="ada", at=NOON)
    assert store.routes() == [] and store.routes_revision() == 3
    history = store.route_history("support")
    assert [(change.who, change.why, change.verdict_id, change.revision) for change in history] == [
        ("ada", "set up", None, 1),
        ("bo", "", "v1", 2),
        ("ada", "moved", None, 3),
    ]
    assert history[1].route is not None and history[1].route.state == "shadow" and history[2].route is None


def test_of_two_changes_made_from_one_reading_the_second_is_refused(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"))
    saved = store.save_route(route, who="ada", at=NOON, expected_revision=0)
    store.save_route(saved, who="ada", at=NOON, expected_revision=saved.revision)
    with pytest.raises(RevisionError, match="it was changed meanwhile"):
        store.save_route(saved, who="bo", at=NOON, expected_revision=saved.revision)
    assert len(store.route_history("support")) == 2


def test_a_rule_that_another_version_wrote_costs_no_route_and_lets_the_incumbent_answer(store):
    rule = DeferralRule.of(
        way="cascade",
        signal="probability",
        calibration=Calibration(raw=(0.0, 1.0), probability=(0.0, 1.0)),
        threshold=0.8,
        candidate="own",
        candidate_id="c1",
        incumbent="gpt-4o",
        never_defer_out=({"team": "legal"},),
    )
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"), deferral=rule)
    later = msgspec.structs.replace(route, deferral=msgspec.structs.replace(rule, way="oracle"))
    store.save_route(later, who="a later version", at=NOON)
    store.save_route(msgspec.structs.replace(route, name="other"), who="ada", at=NOON)
    other, found = store.routes()
    assert other.deferral == rule and other.deferral.problem is None
    assert (
        found.deferral == DeferralRule.unreadable(never_defer_out=({"team": "legal"},))
        and "another version" in found.deferral.problem
    )
    assert store.route_history("support")[0].route.deferral == found.deferral


def test_a_route_that_is_none_is_an_error_whatever_its_rule(store):
    route = Route(name="support", model="gpt-4o", incumbent=Target(endpoint="openai"), state="odd")
    store.save_route(route, who="ada", at=NOON)
    with pytest.raises(StoreError, match="not what this version of freehold reads"):
        store.routes()
