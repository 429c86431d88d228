"""The steps of the journey with their state, from what is known of a project. Pure."""

from __future__ import annotations

from freehold.types.journey import (
    JourneyStage,
    JourneyStep,
    JourneyStepName,
    JourneyStepState,
    ProjectFacts,
)

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
        word = f"promote, with {verdict.fallback} for the rest" if verdict.fallback else verdict.outcome
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
