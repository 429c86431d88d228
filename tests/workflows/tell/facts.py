"""What is known of projects at every stage of their way, for tests of what follows from it."""

import shlex
from datetime import UTC, date, datetime, timedelta

import click

from freehold.cli.main import cli
from freehold.types.journey import ProjectFacts, RolloutFacts, VerdictFacts

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def facts(**known):
    return ProjectFacts(**{"app": "helpdesk", "at": AT, **known})


NAMED = {"has_config": True, "incumbent": "rented-1", "can_ask_incumbent": True}
IMPORTED = {**NAMED, "traces": 1200, "traces_until": AT}
BUILT = {**IMPORTED, "dataset_id": "e" * 32, "train": 906, "held_out": 246}
FROZEN = {**BUILT, "frozen": 246, "frozen_at": AT}
MEASURED = {**FROZEN, "trained": 1, "evaluations": 1, "compared": True}


def verdict(outcome="promote", **changed):
    return VerdictFacts(
        **{
            "id": "8" * 32, "outcome": outcome, "candidate": "base:helpdesk", "model": "pub/base", "fallback": None,
            "codes": (), "texts": (), "conditions": 0, "n": 246, "at": AT, **changed,
        }
    )  # fmt: skip


def rollout(state="shadow", **changed):
    return RolloutFacts(
        **{
            "route": "helpdesk", "state": state, "share": 0.1 if state == "canary" else 0.0, "missing": (),
            "is_last_share": False, "since": AT - timedelta(days=2), **changed,
        }
    )  # fmt: skip


PROMOTED_BY_VERDICT = {**MEASURED, "report_id": "0" * 32, "report_at": AT, "verdict": verdict()}
ROLLING = {**PROMOTED_BY_VERDICT, "gateway_runs": True}
STAGES = {
    "broken": {"broken": "freehold.sqlite: file is not a database"},
    "fresh": {},
    "named": NAMED,
    "imported": IMPORTED,
    "built": BUILT,
    "frozen": FROZEN,
    "measured": MEASURED,
    "promote": PROMOTED_BY_VERDICT,
    "promote_in_part": {**PROMOTED_BY_VERDICT, "verdict": verdict(fallback="rented-1")},
    "hold": {
        **MEASURED,
        "verdict": verdict("hold", codes=("interval_spans_margin",), texts=("…",), needed_n=1400),
    },
    "reject": {**MEASURED, "verdict": verdict("reject", codes=("worse_than_margin",), texts=("…",))},
    "shadow": {**ROLLING, "rollout": rollout()},
    "canary": {**ROLLING, "rollout": rollout("canary")},
    "paused": {**ROLLING, "rollout": rollout("paused")},
    "promoted": {**ROLLING, "rollout": rollout("promoted", share=1.0)},
    "rolled_back": {**ROLLING, "rollout": rollout("rolled_back", why="errors e-value 240 reached 100")},
}
"""Facts of a project at each stage."""
SOON = date(2026, 12, 20)


def check_command(line):
    """A command that is named is one of freehold's, with options that it has."""
    program, *words = shlex.split(line)
    assert program == "freehold", line
    command = cli.get_command(click.Context(cli), words.pop(0))
    while isinstance(command, click.Group) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not None, line
    known = {name for one in command.params for name in one.opts}
    assert {word for word in words if word.startswith("--")} <= known, line
