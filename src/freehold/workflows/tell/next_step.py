"""Where a project is, and what to do next: pure functions, for the report, `freehold status` and the console."""

from __future__ import annotations

from typing import Any

from freehold.types.journey import (
    JourneyStage,
    JourneyState,
    JourneyStep,
    JourneyStepName,
    JourneyStepState,
    NextAction,
    OtherWay,
    ProjectFacts,
    RolloutFacts,
)
from freehold.workflows.tell.after_verdict import IN_DETAIL, after_verdict

TITLES: dict[JourneyStepName, tuple[str, str]] = {
    "name": ("What moves", "freehold init LOG"),
    "capture": ("What it really asks", "freehold traces list"),
    "dataset": ("The task, as data", "freehold dataset show"),
    "freeze": ("The incumbent's answers", "freehold freeze"),
    "prove": ("Is it good enough", "freehold report --evaluations"),
    "decide": ("The verdict", "freehold report --open"),
    "shift": ("Traffic moves", "freehold rollout status"),
    "keep": ("Is it still good", "freehold watch --history"),
}
"""The steps in their order, each with the command that shows it."""

NOW_AT: dict[JourneyStage, JourneyStepName] = {
    "fresh": "name",
    "named": "capture",
    "imported": "dataset",
    "built": "prove",
    "frozen": "prove",
    "measured": "prove",
    "hold": "decide",
    "reject": "decide",
    "promote": "shift",
    "promote_in_part": "shift",
    "shadow": "shift",
    "canary": "shift",
    "paused": "shift",
    "rolled_back": "shift",
    "promoted": "keep",
}
"""The step that each stage is at."""


def journey_steps(facts: ProjectFacts, stage: JourneyStage) -> tuple[JourneyStep, ...]:
    """Every step of the journey, in its order."""
    now = NOW_AT[stage]
    return tuple(_step(name, facts, _state(name, facts, stage, now)) for name in TITLES)


def _state(
    name: JourneyStepName, facts: ProjectFacts, stage: JourneyStage, now: JourneyStepName
) -> JourneyStepState:
    if name == "decide" and stage in ("hold", "reject"):
        return "failed"
    if name == "shift" and stage == "rolled_back":
        return "failed"
    if name == "keep" and facts.watch_alarm is not None:
        return "failed"
    if name in ("prove", "decide") and facts.verdict is not None and facts.stale:
        return "stale"
    if name == now:
        return "now"
    if name == "freeze":  # it may be left out: a log brings the incumbent's answers along
        return "done" if facts.frozen else "later"
    done = {
        "name": facts.has_config,
        "capture": facts.traces > 0,
        "dataset": facts.dataset_id is not None,
        "prove": facts.verdict is not None,
        "decide": facts.verdict is not None and facts.verdict.outcome == "promote",
        "shift": facts.rollout is not None and facts.rollout.state == "promoted",
        "keep": False,
    }
    return "done" if done[name] else "later"


def _step(name: JourneyStepName, facts: ProjectFacts, state: JourneyStepState) -> JourneyStep:
    title, command = TITLES[name]
    detail, more = _detail(name, facts)
    if name == "decide" and facts.verdict is None:
        command = "freehold report"
    elif name == "shift" and facts.rollout is None:
        command = "freehold rollout start"
    return JourneyStep(name=name, title=title, state=state, detail=detail, command=command, **more)


def _detail(name: JourneyStepName, facts: ProjectFacts) -> tuple[str, dict[str, Any]]:
    """How a step stands in words, and of what record, when."""
    verdict, rollout = facts.verdict, facts.rollout
    match name:
        case "name":
            return (
                facts.incumbent or "no incumbent is named"
            ) if facts.has_config else "no freehold.toml", {}
        case "capture":
            traces = _many(facts.traces, "trace", "traces") if facts.traces else "no traffic yet"
            return traces, {"at": facts.traces_until}
        case "dataset":
            built = f"{facts.train:,} to learn from, {facts.held_out:,} held out"
            return built if facts.dataset_id is not None else "not built yet", {"record_id": facts.dataset_id}
        case "freeze":
            frozen = (
                f"{facts.frozen:,} answers kept" if facts.frozen else "none recorded beside those of the log"
            )
            return frozen, {"at": facts.frozen_at}
        case "prove":
            tried = [
                _many(facts.trained, "model trained", "models trained") if facts.trained else "",
                _many(facts.evaluations, "evaluation", "evaluations") if facts.evaluations else "",
            ]
            otherwise = "not measured yet" if verdict is None else "measured"
            return ", ".join(filter(None, tried)) or otherwise, {"at": facts.report_at}
        case "decide":
            if verdict is None:
                return "none yet", {}
            word = f"promote, with {verdict.fallback} as fallback" if verdict.fallback else verdict.outcome
            return word, {"at": verdict.at, "record_id": verdict.id}
        case "shift":
            if rollout is None:
                return "all traffic is the incumbent's", {}
            share = f" at {100 * rollout.share:.3g}%" if rollout.state == "canary" else ""
            return f"{rollout.state.replace('_', ' ')}{share}", {"at": rollout.since}
        case "keep":
            watched = facts.watch_alarm or "nothing found"
            which = f"generation {facts.generation}: " if facts.generation else ""
            return which + ("not checked yet" if facts.watched_at is None else watched), {
                "at": facts.watched_at
            }


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


SOON_DAYS = 90
"""An incumbent that is shut down within this many days is asked now for what will be missed of it: vendors announce two
to six months ahead."""

SCAN = OtherWay(sentence="Find where your code uses rented models", command="freehold scan .")
DEMO = OtherWay(sentence="See the whole journey on a shipped example", command="freehold demo")
MIGRATE = OtherWay(sentence="Run all remaining steps at once", command="freehold migrate")
DRY_RUN = OtherWay(sentence="See what stands in the way", command="freehold migrate --dry-run")
HISTORY = OtherWay(sentence="See the checks so far", command="freehold watch --history")
CAPTURE = OtherWay(
    sentence="Capture live traffic through the gateway", command="freehold up --capture patterns"
)
IMPROVE = OtherWay(
    sentence="See what its next generation would take, cost and gain", command="freehold improve --dry-run"
)
BACK = OtherWay(
    sentence="Send all traffic back to the incumbent", command='freehold rollout rollback --why "…"'
)
WATCH_ROLLOUT = OtherWay(sentence="Watch the tests", command="freehold rollout status --follow 10")


def _next(sentence: str, command: str, why: str, *others: OtherWay) -> NextAction:
    return NextAction(sentence=sentence, command=command, why=why, others=others)


def journey_state(facts: ProjectFacts) -> JourneyState:
    """Where a project is and what to do next, from what is known of it at `facts.at`."""
    stage = stage_of(facts)
    return JourneyState(
        app=facts.app,
        at=facts.at,
        stage=stage,
        sentence=_sentence(facts, stage),
        next=next_action(facts, stage),
        steps=() if stage == "broken" else journey_steps(facts, stage),
        incumbent=facts.incumbent,
        retires=None if facts.ending is None else facts.ending.shutdown,
        days_left=facts.days_left,
        rented=facts.rented,
        learning=facts.learning,
        evidence=facts.evidence,
        warnings=_warnings(facts),
        incidents=facts.incidents,
    )


def stage_of(facts: ProjectFacts) -> JourneyStage:
    """How far it is: the furthest step that was taken. A rollout that was rolled back is past once there is a verdict
    that it did not begin with."""
    if facts.broken is not None:
        return "broken"
    rollout = _rollout(facts)
    if rollout is not None:
        return rollout.state
    verdict = facts.verdict
    if verdict is not None:
        return "promote_in_part" if verdict.outcome == "promote" and verdict.fallback else verdict.outcome
    if facts.trained or facts.evaluations or facts.report_id is not None:
        return "measured"
    if facts.dataset_id is not None:
        return "frozen" if facts.frozen else "built"
    if facts.traces:
        return "imported"
    return "named" if facts.has_config else "fresh"


def next_action(facts: ProjectFacts, stage: JourneyStage) -> NextAction:
    """What to do next at a stage."""
    if stage == "broken":
        ways = (
            OtherWay(sentence="Check every row", command="freehold store check"),
            OtherWay(sentence="Put a backup in its place", command="freehold store restore FILE"),
        )
        why = facts.broken or ""
        return _next("Find out what is wrong", "freehold doctor", why, *(ways if facts.broken_store else ()))
    rollout = _rollout(facts)
    if rollout is not None:
        return _of_rollout(facts, rollout)
    if facts.verdict is None:
        return _before_verdict(facts, stage)
    if facts.verdict.outcome != "promote":
        return after_verdict(facts.verdict)
    return _promoted_by_verdict(facts)


def _rollout(facts: ProjectFacts) -> RolloutFacts | None:
    """The rollout that still matters."""
    rollout = facts.rollout
    over = rollout is not None and rollout.state == "rolled_back" and rollout.verdict_is_newer
    return None if over else rollout


def _before_verdict(facts: ProjectFacts, stage: JourneyStage) -> NextAction:
    if stage == "fresh":
        return _next(
            "Describe the application that moves, from a log of its traffic",
            "freehold init LOG",
            "there is no freehold.toml here yet, and no traffic",
            *(SCAN, DEMO),
        )
    if stage == "named" and facts.files:
        why = f"{_many(len(facts.files), 'file is', 'files are')} named and not yet read"
        return _next("Run the journey on the traffic that freehold.toml names", MIGRATE.command, why, DRY_RUN)
    if stage == "named":
        why = "there is no traffic here yet"
        return _next("Bring in logged traffic", "freehold import FILE", why, CAPTURE, SCAN)
    if stage == "imported":
        why = f"{_many(facts.traces, 'trace is', 'traces are')} here, and no dataset of them"
        return _next("Turn the traffic into a dataset", "freehold dataset build", why, MIGRATE)
    if _should_freeze(facts, stage):
        return _freeze(facts, stage)
    if stage == "measured" and facts.report_stopped is not None:
        return _next(
            "Choose a candidate that may be used here and fits",
            "freehold assess --write 3",
            facts.report_stopped,
            *(IN_DETAIL, MIGRATE),
        )
    if _lacks_answers(facts, stage):
        return _next(
            "Bring a log that has the incumbent's answers",
            "freehold import FILE",
            f"candidates were measured, and no answer of {facts.incumbent} is here to compare them with",
            OtherWay(sentence="Or set [incumbent] base_url, and ask it", command="freehold freeze"),
        )
    why = "a dataset is here, and no candidate was tried on it"
    if stage == "measured":
        why = "candidates were measured, and there is no verdict on one"
    return _next(
        "Try candidates, and prove the best one against the incumbent", MIGRATE.command, why, DRY_RUN
    )


def _lacks_answers(facts: ProjectFacts, stage: JourneyStage) -> bool:
    """Whether candidates were measured with nothing of the incumbent's beside them."""
    lacks = stage == "measured" and bool(facts.evaluations) and not facts.compared and not facts.frozen
    return lacks and facts.incumbent is not None


def _should_freeze(facts: ProjectFacts, stage: JourneyStage) -> bool:
    """Whether the incumbent's answers come first: before it ends, or where nothing else can be compared with."""
    if not facts.can_ask_incumbent or facts.frozen or facts.dataset_id is None:
        return False
    days = facts.days_left
    if stage == "measured":
        return _lacks_answers(facts, stage) and (days is None or days >= 0)
    return days is not None and 0 <= days <= SOON_DAYS


def _freeze(facts: ProjectFacts, stage: JourneyStage) -> NextAction:
    if stage == "measured":
        why = "there are no answers of the incumbent to compare a candidate with"
    else:
        assert facts.ending is not None
        why = f"{facts.incumbent} cannot be asked after {facts.ending.shutdown}"
    without = OtherWay(sentence="Go on without", command="freehold migrate")
    return _next("Record the incumbent's answers while it can be asked", "freehold freeze", why, without)


def _promoted_by_verdict(facts: ProjectFacts) -> NextAction:
    verdict = facts.verdict
    assert verdict is not None
    if facts.stale:
        return _renew(facts)
    duties = OtherWay(
        sentence="Write the files that the licence asks for",
        command="freehold license comply --out licence",
    )
    others = (IN_DETAIL, duties) if verdict.conditions else (IN_DETAIL,)
    passed = f"{verdict.candidate} passed" + (" for what it is sure of" if verdict.fallback else "")
    if not facts.gateway_runs:
        then = OtherWay(sentence="Then begin", command="freehold rollout start")
        why = f"{passed}, and a rollout needs recorded traffic"
        return _next("Start the gateway your traffic will use", CAPTURE.command, why, then, *others)
    sentence = "Begin the rollout: mirror requests to the candidate, which clients do not see"
    return _next(sentence, "freehold rollout start", passed, *others)


def _renew(facts: ProjectFacts) -> NextAction:
    first = facts.stale[0]
    return _next("Renew the evidence, which no longer holds", first.renew, first.stale[0], IN_DETAIL)


def _of_rollout(facts: ProjectFacts, rollout: RolloutFacts) -> NextAction:
    if rollout.state == "promoted":
        return _watch(facts)
    if rollout.state == "rolled_back":
        return _next(
            "Find out why traffic went back, before another try",
            "freehold audit --last 20",
            rollout.why or "the last rollout was rolled back",
            OtherWay(sentence="Prove what is served now", command="freehold migrate"),
            OtherWay(sentence="Begin another rollout", command="freehold rollout start"),
        )
    if rollout.trouble is not None:
        sentence = "See to the trouble that the gateway tells of"
        return _next(sentence, "freehold rollout status", rollout.trouble, BACK)
    if not facts.gateway_runs:
        why = f"the route {rollout.route} is in {rollout.state}, and no gateway runs here"
        sentence = "Start the gateway: without it the rollout learns nothing"
        return _next(sentence, CAPTURE.command, why, WATCH_ROLLOUT, BACK)
    if facts.stale:
        return _renew(facts)
    if rollout.missing:
        sentence = "Let traffic tell: the tests do not allow the next step yet"
        return _next(sentence, WATCH_ROLLOUT.command, rollout.missing[0], BACK)
    paused = rollout.state == "paused"
    if rollout.is_last_share and not paused:
        why = f"the tests allow it, at {100 * rollout.share:.3g}% of the traffic"
        sentence = "Give all traffic to the candidate"
        return _next(sentence, "freehold rollout promote", why, WATCH_ROLLOUT, BACK)
    sentence = "Go on where it was paused" if paused else "Give the candidate its next share"
    why = "the tests allow the next step"
    return _next(sentence, "freehold rollout advance", why, WATCH_ROLLOUT, BACK)


def _watch(facts: ProjectFacts) -> NextAction:
    rollout, verdict, due = facts.rollout, facts.verdict, facts.watch_due
    if facts.watch_alarm is not None:
        return _next("See what the last check alarmed about", HISTORY.command, facts.watch_alarm, BACK)
    if facts.watched_at is None:
        why = "it was not checked since it was promoted"
    elif due is not None and due <= facts.at:
        why = f"the last check was on {facts.watched_at:%Y-%m-%d}, the next was due on {due:%Y-%m-%d}"
    else:
        why = "the last check found nothing" + ("" if due is None else f", the next is due on {due:%Y-%m-%d}")
        return _next("Nothing has to be done now", HISTORY.command, why, IMPROVE, IN_DETAIL, BACK)
    others = [HISTORY, BACK]
    if rollout and rollout.verdict_is_newer and verdict is not None and verdict.outcome == "promote":
        others.insert(0, OtherWay(sentence=f"Roll {verdict.candidate} out", command="freehold rollout start"))
    return _next("Check that the candidate is still as good as it was", "freehold watch --once", why, *others)


def _sentence(facts: ProjectFacts, stage: JourneyStage) -> str:
    """Where it is, in words."""
    verdict, rollout = facts.verdict, _rollout(facts)
    if stage == "broken":
        return "The project cannot be read."
    if rollout is not None:
        return {
            "shadow": f"Requests of {rollout.route} are mirrored to the candidate; clients do not see its answers.",
            "canary": f"The candidate answers {100 * rollout.share:.3g}% of {rollout.route}.",
            "paused": f"The rollout of {rollout.route} is paused: the incumbent answers everything.",
            "promoted": f"The candidate answers {rollout.route}.",
            "rolled_back": f"{rollout.route} went back to the incumbent.",
        }[rollout.state]
    if verdict is not None:
        return {
            "promote": f"{verdict.candidate} may be promoted.",
            "promote_in_part": f"{verdict.candidate} may answer what it is sure of, and {verdict.fallback} the rest.",
            "hold": f"It is not proven that {verdict.candidate} is good enough.",
            "reject": f"{verdict.candidate} is rejected: stay on the incumbent.",
        }[stage]
    return {
        "fresh": "There is no project here yet.",
        "named": "The project is described, and has no traffic yet.",
        "imported": f"{_many(facts.traces, 'trace is', 'traces are')} here.",
        "built": f"A dataset is built: {facts.train:,} samples to learn from, {facts.held_out:,} held out.",
        "frozen": f"The incumbent's answers to {facts.frozen:,} held-out samples are recorded.",
        "measured": "Candidates were trained or measured; there is no verdict on one.",
    }[stage]


def _warnings(facts: ProjectFacts) -> tuple[str, ...]:
    found: list[str] = []
    days = facts.days_left
    if facts.ending is not None and days is not None and days <= SOON_DAYS:
        found.append(facts.rented or f"{facts.ending.text(facts.at.date())}.")
    if facts.of_fallback is not None:
        found.append(facts.of_fallback)
    if facts.rollout is not None and facts.rollout.trouble is not None:
        found.append(facts.rollout.trouble)
    if facts.watch_alarm is not None:
        found.append(facts.watch_alarm)
    found += [f"The evidence of {one.gate} no longer holds: {one.stale[0]}." for one in facts.stale]
    return tuple(found)
