"""A promoted mixture under watch, with a real incumbent on loopback and real hooks."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.deferral_rules import one_tier
from tests.workflows.shift.shifting import ROUTE, trace
from tests.workflows.watch.watching import PROMOTED

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.types.config import DeferConfig
from freehold.types.deferral import DeferralDecision
from freehold.types.mixture import Mixture
from freehold.types.rollout import AgreementShift, Check
from freehold.types.trace import Usage
from freehold.workflows.shift.rollout.project import refuse_alarmed
from freehold.workflows.watch import mixture, watch

RULE = one_tier(model="base:ft", threshold=0.9, mixture_id="mix1")
PROVEN = Mixture(
    id="mix1", candidate="base:ft", incumbent="gpt-4o", dataset_id="d", margin=0.05, curves=(), rule=RULE,
    share=0.5, share_low=0.45, share_high=0.55,
)  # fmt: skip


@pytest.fixture
def mixed(project, store):
    """The project with every sure answer asked again, and a route with a rule."""
    store.put(PROVEN)
    (route,) = store.routes()
    store.save_route(msgspec.structs.replace(route, deferral=RULE), who="ada", at=PROMOTED)
    defer = DeferConfig(recheck_share=1.0, recheck_usd_per_month=Decimal(100))
    return with_defer(project, defer)


def with_defer(project, defer):
    config = msgspec.structs.replace(project.config, defer=defer)
    return type(project)(project.root, config, project.settings, None)


def mixed_week(
    store, number, *, here=20, n=40, answers=("refund",), confidence=0.97, rule=RULE, rest="incumbent"
):
    """A week in which the candidate answered some requests because it was sure (with `answers` in turn), and the
    incumbent the rest."""
    end = PROMOTED + timedelta(days=7 * number)

    def one(place):
        sure = place < here
        return trace(
            1000 * number + place,
            arm="candidate",
            share=1.0,
            answer=answers[place % len(answers)] if sure or rest == "upper" else "refund",
            at=end - timedelta(hours=place + 1),
            usage=Usage(prompt_tokens=100, completion_tokens=10),
            request={"messages": [{"role": "user", "content": f"question {place:02d}"}]},
            deferral=DeferralDecision(
                rule_id=rule.id,
                by="candidate" if sure else rest,
                why="sure" if sure else "unsure",
                confidence=confidence if sure else 0.4,
            ),
        )

    store.add_traces(one(place) for place in range(n))
    return end


def test_sure_answers_are_asked_again_and_nothing_else(mixed, store, incumbent):
    made = watch.check(mixed, store, "support", at=mixed_week(store, 1))
    assert made.against == "live" and made.planned == made.pairs == len(incumbent.seen) == 20
    found = made.mixture
    assert (found.decided, found.sure, found.share, found.loss) == (40, 20, 0.5, 0.0)
    assert (found.share_low, found.share_high, found.margin) == (0.45, 0.55, 0.05)
    assert (found.as_good, found.confidence) == (1.0, pytest.approx(0.97))
    assert {test.name for test in found.tests} == {"loss", "calibration", "share above", "share below"}
    assert made.exit_code == 0 and made.acts_at == pytest.approx(8766 / 168 / 0.03)
    assert 0.05 < made.smallest_drop < 0.5, "of all requests, not of sure ones"


def test_an_upper_models_answers_are_asked_again_as_well(mixed, store, incumbent):
    at = mixed_week(store, 1, rest="upper", answers=("refund", "other"))
    made = watch.check(mixed, store, "support", at=at)
    assert made.planned == made.pairs == len(incumbent.seen) == 40
    found = made.mixture
    assert (found.share, found.sure_share, found.loss) == (0.5, 1.0, 0.5)
    assert found.confidence == pytest.approx(0.97), "an upper model's answer has no confidence"


@pytest.mark.parametrize(
    ("known", "alarms"),
    [
        (AgreementShift(), True),
        (AgreementShift(difference=0.5, error=0.04, as_good=0.5, as_good_error=0.04), False),
    ],
)
def test_what_agreement_misses_of_the_proof_is_no_loss(mixed, store, monkeypatch, known, alarms):
    monkeypatch.setattr(watch, "agreement_shift", lambda *_, **asked: known if asked["only_sure"] else None)
    found = []
    for number in range(1, 12):
        at = mixed_week(store, number, answers=("refund", "other"))
        found.append(watch.check(mixed, store, "support", at=at))
        if found[-1].alarm:
            break
    assert found[-1].alarm == alarms
    if not alarms:
        assert found[-1].mixture.loss == pytest.approx(0.0) and found[-1].mixture.as_good == 0.5
        assert "compared with the proof, where it was 50.0%" in found[-1].notes[0]


def test_a_loss_puts_the_rule_on_its_safe_side_and_tells_why(mixed, store, incumbent):
    for number in range(1, 8):
        made = watch.check(mixed, store, "support", at=mixed_week(store, number, answers=("other",)))
        if made.alarm:
            break
    assert made.alarm and made.exit_code == 1 and made.action == "safe_side"
    assert made.mixture.loss == 0.5 and "loss" in {test.name for test in made.mixture.tests if test.alarm}
    (route,) = store.routes()
    assert route.state == "promoted" and route.deferral.is_on_safe_side
    assert route.deferral.id != RULE.id and route.deferral.problem is None
    assert route.deferral.mixture_id == "mix1" and route.deferral.threshold > 1
    (told,) = [one for one in incumbent.told if one["kind"] == "quality"]
    assert "all requests lose more than the margin of 0.050" in told["why"] and told["action"] == "safe_side"
    last = list(store.route_history("support"))[-1]
    assert last.who == "freehold" and last.why == told["why"]
    with pytest.raises(UsageError, match="did not keep its promise"):
        refuse_alarmed(store, PROVEN)
    asked = len(incumbent.seen)
    again = watch.check(mixed, store, "support", at=mixed_week(store, 9, here=0, rule=route.deferral))
    assert again.mixture.safe_side and not again.alarm and len(incumbent.seen) == asked
    assert [test.name for test in again.mixture.tests] == []


@pytest.mark.parametrize(
    ("on_alarm", "state"), [("report", "promoted"), ("shadow", "shadow"), ("rollback", "rolled_back")]
)
def test_the_owner_says_what_an_alarm_does(mixed, store, on_alarm, state):
    config = msgspec.structs.replace(mixed.config.watch, on_alarm=on_alarm)
    for number in range(1, 8):
        at = mixed_week(store, number, answers=("other",))
        made = watch.check(mixed, store, "support", at=at, config=config)
        if made.alarm:
            break
    (route,) = store.routes()
    assert made.alarm and route.state == state and route.deferral == RULE
    if on_alarm == "report":
        refuse_alarmed(store, PROVEN)


def test_confidence_that_says_too_much_alarms(mixed, store, incumbent):
    answers = ("other", "refund", "refund")
    for number in range(1, 16):
        at = mixed_week(store, number, answers=answers, confidence=0.99)
        made = watch.check(wide(mixed, store), store, "support", at=at)
        if made.alarm:
            break
    assert [test.name for test in made.mixture.tests if test.alarm] == ["calibration"]
    assert (
        "of sure answers" not in incumbent.told[-1]["why"] and "instead of 99.0%" in incumbent.told[-1]["why"]
    )


def wide(project, store):
    """A mixture whose loss may be any, so that its calibration alone can break."""
    store.put(msgspec.structs.replace(PROVEN, margin=0.9))
    return project


def test_more_answered_here_than_proven_moves_and_less_only_tells(mixed, store, incumbent):
    for number in range(1, 12):
        made = watch.check(mixed, store, "support", at=mixed_week(store, number, here=40))
        if made.alarm:
            break
    assert [test.name for test in made.mixture.tests if test.alarm] == ["share above"]
    assert made.action == "safe_side" and "100.0% instead of 45.0% to 55.0%" in incumbent.told[-1]["why"]


def test_less_answered_here_is_told_and_moves_nothing(mixed, store, incumbent):
    for number in range(1, 12):
        made = watch.check(mixed, store, "support", at=mixed_week(store, number, here=5))
        if made.exit_code:
            break
    assert [test.name for test in made.mixture.tests if test.alarm] == ["share below"]
    assert not made.alarm and made.action == "none" and store.routes()[0].deferral == RULE
    assert incumbent.told[-1]["kind"] == "drift"


def test_share_and_budget_bound_what_is_asked(mixed, store, incumbent):
    few = with_defer(mixed, DeferConfig(recheck_share=0.3))
    assert watch.check(few, store, "support", at=mixed_week(store, 1)).planned == 6
    poor = with_defer(mixed, DeferConfig(recheck_share=1.0, recheck_usd_per_month=Decimal("0.02")))
    made = watch.check(poor, store, "support", at=mixed_week(store, 2))
    assert made.planned == 2, "0.012 of the month's 0.02 are spent, one costs at most 0.003"
    assert mixture.spent_in_month(store, "support", at=made.at) == Decimal("0.016")
    assert mixture.spent_in_month(store, "support", at=made.at + timedelta(days=31)) == 0
    none = with_defer(mixed, DeferConfig(recheck_share=0.0))
    made = watch.check(none, store, "support", at=mixed_week(store, 3))
    assert made.planned == 0 and made.exit_code == 3 and "recheck_share is 0" in made.notes[0]


def test_without_an_incumbent_or_a_record_what_is_left_is_watched(mixed, store, incumbent):
    store.delete(Mixture, "mix1")
    gone = msgspec.structs.replace(mixed.config.incumbent, base_url=None)
    config = msgspec.structs.replace(mixed.config, incumbent=gone)
    alone = type(mixed)(mixed.root, config, mixed.settings, None)
    made = watch.check(alone, store, "support", at=mixed_week(store, 1))
    assert made.pairs == 0 and incumbent.seen == [] and made.mixture.tests == ()
    assert made.mixture.share == 0.5 and made.mixture.margin == 0.05
    assert any("cannot be asked" in note for note in made.notes)
    assert any("record of the fallback's proof is gone" in note for note in made.notes)


def test_a_rule_that_was_replaced_meanwhile_is_left_alone(mixed, store):
    (route,) = store.routes()
    other = RULE.at(0.95)
    store.save_route(msgspec.structs.replace(route, deferral=other), who="ada", at=PROMOTED)
    with pytest.raises(UsageError, match="another rule while it was checked"):
        mixture.to_safe_side(store, route, at=PROMOTED, why="x")
    assert store.routes()[0].deferral == other


def test_another_rule_starts_over(mixed, store):
    made = watch.check(mixed, store, "support", at=mixed_week(store, 1))
    state = store.get(watch.WatchState, "support").mixture
    assert state.rule_id == RULE.id and state.detectors["loss"].periods == 1
    traffic = mixture.MixtureTraffic([], [])
    other = RULE.at(0.95)
    nothing = watch.CheckPlan("live", [], [], None, ())
    found, after = mixture.judge(
        other,
        PROVEN,
        traffic,
        nothing,
        mixture.PeriodScores([], 0, None),
        state,
        margin=0.1,
        every_hours=168,
    )
    assert after.rule_id == other.id
    assert all(one.periods == 0 for one in after.detectors.values()) and found.margin == 0.05
    assert isinstance(made, Check) and ROUTE.deferral is None


def test_the_command_tells_of_the_mixture(mixed, store, incumbent):
    config = Path("freehold.toml")
    config.write_text(config.read_text() + "\n[defer]\nrecheck_share = 1.0\n")
    at = datetime.now(UTC)
    decision = DeferralDecision(rule_id=RULE.id, by="candidate", why="sure", confidence=0.97)
    store.add_traces(
        trace(n, arm="candidate", share=1.0, at=at - timedelta(hours=1), deferral=decision) for n in range(8)
    )
    run = lambda *words: CliRunner().invoke(cli, ["watch", *words])  # noqa: E731
    said = " ".join(run("--once").output.split())
    assert "mixture 100.0% of 8 requests answered here, proven 45.0% to 55.0%" in said
    assert "all requests lose +0.000 against the incumbent, promised 0.050 at most" in said
    assert "100.0% of sure answers are as good as the incumbent's, foretold 97.0%" in said
    assert "loss: statistic" in said and "share above: statistic" in said
    assert json.loads(run("--history", "--json").output)["items"][0]["mixture"]["sure"] == 8
