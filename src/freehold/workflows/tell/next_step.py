"""Where a project is, and what to do next: pure functions, for the report, `freehold status` and the console."""

from __future__ import annotations

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

ORDER: tuple[JourneyStepName, ...] = (
    "name", "capture", "dataset", "freeze", "prove", "decide", "shift", "keep",
)  # fmt: skip

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
    return tuple(_step(name, facts, _state(name, facts, stage, now)) for name in ORDER)


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
    verdict, rollout = facts.verdict, facts.rollout
    if name == "name":
        detail = "no freehold.toml" if not facts.has_config else facts.incumbent or "no incumbent is named"
        return _made(name, "What moves", state, detail, "freehold init LOG")
    if name == "capture":
        detail = _many(facts.traces, "trace", "traces") if facts.traces else "no traffic yet"
        return _made(
            name, "What it really asks", state, detail, "freehold traces list", at=facts.traces_until
        )
    if name == "dataset":
        detail = "not built yet"
        if facts.dataset_id is not None:
            detail = f"{facts.train:,} to learn from, {facts.held_out:,} held out"
        return _made(
            name, "The task, as data", state, detail, "freehold dataset show", record_id=facts.dataset_id
        )
    if name == "freeze":
        detail = f"{facts.frozen:,} answers kept" if facts.frozen else "none recorded beside those of the log"
        return _made(name, "The incumbent's answers", state, detail, "freehold freeze", at=facts.frozen_at)
    if name == "prove":
        detail = "not measured yet"
        if verdict is not None or facts.trained or facts.evaluations:
            tried = [
                _many(facts.trained, "model trained", "models trained") if facts.trained else "",
                _many(facts.evaluations, "evaluation", "evaluations") if facts.evaluations else "",
            ]
            detail = ", ".join(one for one in tried if one) or "measured"
        return _made(
            name, "Is it good enough", state, detail, "freehold report --evaluations", at=facts.report_at
        )
    if name == "decide":
        if verdict is None:
            return _made(name, "The verdict", state, "none yet", "freehold report")
        word = f"promote, with {verdict.fallback} as fallback" if verdict.fallback else verdict.outcome
        return _made(
            name, "The verdict", state, word, "freehold report --open", at=verdict.at, record_id=verdict.id
        )
    if name == "shift":
        if rollout is None:
            return _made(
                name, "Traffic moves", state, "all traffic is the incumbent's", "freehold rollout start"
            )
        share = f" at {100 * rollout.share:.3g}%" if rollout.state == "canary" else ""
        return _made(
            name,
            "Traffic moves",
            state,
            f"{rollout.state.replace('_', ' ')}{share}",
            "freehold rollout status",
            at=rollout.since,
        )
    detail = "not checked yet" if facts.watched_at is None else facts.watch_alarm or "nothing found"
    return _made(name, "Is it still good", state, detail, "freehold watch --history", at=facts.watched_at)


def _made(
    name: JourneyStepName, title: str, state: JourneyStepState, detail: str, command: str, **more: object
) -> JourneyStep:
    return JourneyStep(name=name, title=title, state=state, detail=detail, command=command, **more)  # type: ignore[arg-type]


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


SOON_DAYS = 90
"""An incumbent that is shut down within this many days is asked now for what will be missed of it: vendors announce two
to six months ahead."""

SCAN = OtherWay(sentence="Find where your code uses rented models", command="freehold scan .")
DEMO = OtherWay(sentence="See the whole journey on a shipped example", command="freehold demo")
CAPTURE = OtherWay(
    sentence="Capture live traffic through the gateway", command="freehold up --capture patterns"
)
BACK = OtherWay(
    sentence="Send all traffic back to the incumbent",
    command='freehold rollout rollback --why "…"',
)
WATCH_ROLLOUT = OtherWay(sentence="Watch the tests", command="freehold rollout status --follow 10")


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
        return NextAction(
            sentence="Find out what is wrong",
            command="freehold doctor",
            why=facts.broken or "",
            others=(
                OtherWay(sentence="Check every row", command="freehold store check"),
                OtherWay(sentence="Put a backup in its place", command="freehold store restore FILE"),
            )
            if facts.broken_store
            else (),
        )
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
    migrate = OtherWay(sentence="Run all remaining steps at once", command="freehold migrate")
    if stage == "fresh":
        return NextAction(
            sentence="Describe the application that moves, from a log of its traffic",
            command="freehold init LOG",
            why="there is no freehold.toml here yet, and no traffic",
            others=(SCAN, DEMO),
        )
    if stage == "named":
        if facts.files:
            return NextAction(
                sentence="Run the journey on the traffic that freehold.toml names",
                command="freehold migrate",
                why=f"{_many(len(facts.files), 'file is', 'files are')} named and not yet read",
                others=(
                    OtherWay(sentence="See what stands in the way", command="freehold migrate --dry-run"),
                ),
            )
        return NextAction(
            sentence="Bring in logged traffic",
            command="freehold import FILE",
            why="there is no traffic here yet",
            others=(CAPTURE, SCAN),
        )
    if stage == "imported":
        return NextAction(
            sentence="Turn the traffic into a dataset",
            command="freehold dataset build",
            why=f"{_many(facts.traces, 'trace is', 'traces are')} here, and no dataset of them",
            others=(migrate,),
        )
    if _should_freeze(facts, stage):
        return _freeze(facts, stage)
    if stage == "measured" and facts.report_stopped is not None:
        return NextAction(
            sentence="Choose a candidate that may be used here and fits",
            command="freehold assess --write 3",
            why=facts.report_stopped,
            others=(IN_DETAIL, migrate),
        )
    why = "a dataset is here, and no candidate was tried on it"
    if stage == "measured":
        why = "candidates were measured, and there is no verdict on one"
    return NextAction(
        sentence="Try candidates, and prove the best one against the incumbent",
        command="freehold migrate",
        why=why,
        others=(OtherWay(sentence="See what stands in the way", command="freehold migrate --dry-run"),),
    )


def _should_freeze(facts: ProjectFacts, stage: JourneyStage) -> bool:
    """Whether the incumbent's answers come first: before it ends, or where nothing else can be compared with."""
    if not facts.can_ask_incumbent or facts.frozen or facts.dataset_id is None:
        return False
    days = facts.days_left
    if stage == "measured":
        return bool(facts.evaluations) and not facts.compared and (days is None or days >= 0)
    return days is not None and 0 <= days <= SOON_DAYS


def _freeze(facts: ProjectFacts, stage: JourneyStage) -> NextAction:
    if stage == "measured":
        why = "there are no answers of the incumbent to compare a candidate with"
    else:
        assert facts.ending is not None
        why = f"{facts.incumbent} cannot be asked after {facts.ending.shutdown}"
    return NextAction(
        sentence="Record the incumbent's answers while it can be asked",
        command="freehold freeze",
        why=why,
        others=(OtherWay(sentence="Go on without", command="freehold migrate"),),
    )


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
        return NextAction(
            sentence="Start the gateway your traffic will use",
            command="freehold up --capture patterns",
            why=f"{passed}, and a rollout needs recorded traffic",
            others=(OtherWay(sentence="Then begin", command="freehold rollout start"), *others),
        )
    return NextAction(
        sentence="Begin the rollout: mirror requests to the candidate, which clients do not see",
        command="freehold rollout start",
        why=passed,
        others=(
            OtherWay(sentence="Rehearse a rollback", command="freehold rollout rehearse"),
            *others,
        ),
    )


def _renew(facts: ProjectFacts) -> NextAction:
    first = facts.stale[0]
    return NextAction(
        sentence="Renew the evidence, which no longer holds",
        command=first.renew,
        why=first.stale[0],
        others=(IN_DETAIL,),
    )


def _of_rollout(facts: ProjectFacts, rollout: RolloutFacts) -> NextAction:
    if rollout.state == "promoted":
        return _watch(facts)
    if rollout.state == "rolled_back":
        return NextAction(
            sentence="Find out why traffic went back, before another try",
            command="freehold audit --last 20",
            why=rollout.why or "the last rollout was rolled back",
            others=(
                OtherWay(sentence="Prove what is served now", command="freehold migrate"),
                OtherWay(sentence="Begin another rollout", command="freehold rollout start"),
            ),
        )
    if rollout.trouble is not None:
        return NextAction(
            sentence="See to the trouble that the gateway tells of",
            command="freehold rollout status",
            why=rollout.trouble,
            others=(BACK,),
        )
    if not facts.gateway_runs:
        return NextAction(
            sentence="Start the gateway: without it the rollout learns nothing",
            command="freehold up --capture patterns",
            why=f"the route {rollout.route} is in {rollout.state}, and no gateway runs here",
            others=(WATCH_ROLLOUT, BACK),
        )
    if facts.stale:
        return _renew(facts)
    if rollout.missing:
        return NextAction(
            sentence="Let traffic tell: the tests do not allow the next step yet",
            command=WATCH_ROLLOUT.command,
            why=rollout.missing[0],
            others=(BACK,),
        )
    if rollout.state != "paused" and rollout.is_last_share:
        return NextAction(
            sentence="Give all traffic to the candidate",
            command="freehold rollout promote",
            why=f"the tests allow it, at {100 * rollout.share:.3g}% of the traffic",
            others=(WATCH_ROLLOUT, BACK),
        )
    sentence = (
        "Go on where it was paused" if rollout.state == "paused" else "Give the candidate its next share"
    )
    return NextAction(
        sentence=sentence,
        command="freehold rollout advance",
        why="the tests allow the next step",
        others=(WATCH_ROLLOUT, BACK),
    )


def _watch(facts: ProjectFacts) -> NextAction:
    back: tuple[OtherWay, ...] = (
        OtherWay(sentence="See the checks so far", command="freehold watch --history"),
        BACK,
    )
    rollout, verdict = facts.rollout, facts.verdict
    if (
        rollout is not None
        and rollout.verdict_is_newer
        and verdict is not None
        and verdict.outcome == "promote"
    ):
        better = OtherWay(sentence=f"Roll {verdict.candidate} out", command="freehold rollout start")
        back = (better, *back)
    if facts.watch_alarm is not None:
        return NextAction(
            sentence="See what the last check alarmed about",
            command="freehold watch --history",
            why=facts.watch_alarm,
            others=(BACK,),
        )
    due = facts.watch_due
    if facts.watched_at is None:
        why = "it was not checked since it was promoted"
    elif due is not None and due <= facts.at:
        why = f"the last check was on {facts.watched_at:%Y-%m-%d}, the next was due on {due:%Y-%m-%d}"
    else:
        when = "" if due is None else f", the next is due on {due:%Y-%m-%d}"
        return NextAction(
            sentence="Nothing has to be done now",
            command="freehold watch --history",
            why=f"the last check found nothing{when}",
            others=(IN_DETAIL, BACK),
        )
    return NextAction(
        sentence="Check that the candidate is still as good as it was",
        command="freehold watch --once",
        why=why,
        others=back,
    )


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
