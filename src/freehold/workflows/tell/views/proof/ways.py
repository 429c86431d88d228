"""What would change a verdict, each way with its command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import Comparison
from freehold.types.record import Record
from freehold.types.verdict import Reason, Verdict

NO_INCUMBENT = "There are no answers of an incumbent to compare with, so nothing is said about leaving it."


class WayOut(Record, frozen=True, kw_only=True):
    """Something that would change the verdict, or that is allowed by it, and the command for it."""

    text: str
    command: str


def ways_out(made: Evaluation, verdict: Verdict | None = None) -> tuple[WayOut, ...]:
    """What would change what an evaluation says, what decides first. `verdict` is the joined one that rests on it: what
    holds besides the comparison (licence, memory, checks) is told by its reasons."""
    comparison = made.comparison
    if comparison is None:
        return (WayOut(text=NO_INCUMBENT, command="freehold freeze"),)
    blocking = [
        _by_reason(reason, made)
        for reason in (verdict.reasons if verdict is not None else ())
        if reason.effect in ("hold", "reject") and reason.record_id != comparison.id
    ]
    return (*blocking, *_by_comparison(comparison, bool(blocking)))


def _by_reason(reason: Reason, made: Evaluation) -> WayOut:
    model = shlex.quote(made.candidate)
    commands = {"license": f"freehold license {model}", "does": f"freehold fit {model}"}
    return WayOut(text=reason.text, command=commands.get(reason.code.partition("_")[0], "freehold report"))


def _by_comparison(found: Comparison, blocked: bool) -> Iterator[WayOut]:
    if found.verdict == "promote":
        if not blocked:
            yield WayOut(text="Nothing: traffic may begin to move.", command="freehold rollout start")
        return
    if found.look is not None and not found.look.may_promote and not found.look.informs:
        yield WayOut(
            text="Items that no evaluation has looked at: on these the error that was planned for is spent.",
            command="freehold import NEW.jsonl --held-out",
        )
    if found.verdict == "hold" and found.needed_n is not None and found.needed_n > found.n:
        yield WayOut(
            text=f"About {found.needed_n:,} held-out items, if they come out like these {found.n:,}.",
            command=f"freehold power --margin {found.margin:g}",
        )
    for part in found.slices:
        if part.harmed:
            yield WayOut(
                text=f"Answers in the slice {part.name}: it is harmed, however good the mean is.",
                command="freehold dataset check",
            )
    yield WayOut(
        text="A mixture: the candidate answers what it is sure of, the incumbent the rest.",
        command="freehold defer plan",
    )
    yield WayOut(
        text="More training samples: the curve says what twice of them bring.",
        command="freehold train --curve",
    )
    if found.verdict == "reject":
        yield WayOut(text="Another model of the shortlist.", command="freehold assess")
