"""`freehold rescue --harvest`: what it will ask and cost, a yes, and what was taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import agree, print_json
from freehold.cli.output import echo
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.types.harvest import Harvest, HarvestPart


def take(asked: dict[str, Any], unlabelled: Path | None, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Say what a harvest will ask and cost, take it, and say what was taken. 3 where the budget ended it, else 0."""
    from freehold.cli.progress import progress
    from freehold.workflows.journey import rescue
    from freehold.workflows.journey.harvest import harvest as workflow
    from freehold.workflows.journey.rescue_config import RescueRequest

    repeats, budget_usd = asked["repeats"] or 3, asked["budget_usd"]
    with progress() as bar:
        # The budget is the harvest's own: it leaves samples out by stopping, not by a smaller dataset.
        project, _ = rescue.begin(RescueRequest(**{**asked, "repeats": 1, "budget_usd": None}), progress=bar)
        planned = workflow.plan(
            project,
            workflow.HarvestOptions(repeats=repeats, budget_usd=budget_usd, unlabelled=unlabelled),
        )
    _tell(planned.manifest)
    if dry_run:
        if as_json:
            print_json(planned.manifest, "harvest")
        return 0
    if not yes and budget_usd is None:
        if not sys.stdin.isatty():
            raise UsageError("paid requests need your consent", hint="give --yes, or --budget-usd USD")
        agree("Send these requests?")
    with progress() as bar:
        taken = workflow.run(planned, progress=bar)
    if as_json:
        print_json(taken, "harvest")
    else:
        _show(taken)
    return 3 if taken.stopped is not None else 0


def _tell(plan: Harvest) -> None:
    """What is about to be asked, part by part, with what it will cost."""
    from freehold.workflows.journey.harvest.asking import TITLES
    from freehold.workflows.journey.rescue_config import dollars

    def say(text: str) -> None:
        echo(text, err=True)

    say(f"\nto take from {click.style(plan.model, bold=True)} at {plan.base_url}")
    terms = plan.terms.outcome.replace("_", " ")
    say(
        f"  training {plan.terms.candidate} with its answers is ruled {terms}: {'; '.join(plan.terms.reasons)}"
    )
    if plan.terms.outcome == "unclear":
        say(
            "  what is unclear is taken, since it cannot be taken later; migrate rules again before it trains"
        )
    for part in plan.parts:
        if part.not_taken is not None:
            told = f"nothing: {part.not_taken}"
        elif part.name == "account":
            told = "free of charge, only read"
        else:
            left = part.requests - part.kept
            cost = "price not known" if part.estimate_usd is None else f"about {dollars(part.estimate_usd)}"
            told = (
                f"{left:,} request{'' if left == 1 else 's'} to {part.model}, about "
                f"{part.estimate_prompt_tokens:,} tokens in and {part.estimate_completion_tokens:,} out, {cost}"
            )
            told += f" ({part.kept:,} are here already)" if part.kept else ""
        say(f"  {TITLES[part.name]}: {told}")
        for note in part.notes:
            say(f"      {note}")
    total = plan.estimate_usd
    cost = "at prices that are not all known here" if total is None else f"about {dollars(total)}"
    budget = "" if plan.budget_usd is None else f", budget {dollars(plan.budget_usd)}"
    before = f", {dollars(plan.spent_usd)} spent before" if plan.spent_usd else ""
    say(f"  together {cost}{before}{budget}\n")


def _show(taken: Harvest) -> None:
    from freehold.workflows.journey.harvest.asking import TITLES

    for part in taken.parts:
        if part.requests:
            echo(f"{TITLES[part.name]}: {_counted(part)}")
            for note in part.notes:
                echo(f"    {note}")
    for lack in taken.not_to_be_had:
        echo(f"not to be had: {lack}")
    echo(
        f"{len(taken.files):,} files in {taken.folder}, ${taken.spent_usd:.4f} spent; harvest.json lists them"
    )
    names = {file.path for file in taken.files if file.records}
    if "traffic.jsonl" in names:
        echo(f"  learn from these answers: freehold import --answers incumbent {taken.folder}/traffic.jsonl")
    if "paraphrases.jsonl" in names:  # as its answers, so that its terms count
        echo(
            f"  learn from the paraphrases: freehold import --answers incumbent {taken.folder}/paraphrases.jsonl"
        )
    if taken.stopped is not None:
        echo(f"ended early: {taken.stopped}; the same command with a larger budget goes on", err=True)


def _counted(part: HarvestPart) -> str:
    failed = f", {part.failed:,} failed" if part.failed else ""
    return (
        f"{part.answered:,} of {part.requests:,} answered by {part.model}{failed}, {part.prompt_tokens:,} tokens in "
        f"and {part.completion_tokens:,} out, ${part.spent_usd:.4f}"
    )
