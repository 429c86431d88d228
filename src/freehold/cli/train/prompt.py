"""`freehold prompt`: how a model is best asked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.amounts import budget
from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import console, echo

if TYPE_CHECKING:
    from freehold.types.prompting import PromptEstimate, PromptProposal, PromptSearch


@click.command("prompt")
@click.argument("model")
@click.option(
    "--endpoint", help="The one of [[endpoints]] that the model runs behind (default: it runs here)."
)
@click.option("--dataset", "dataset_id", help="Dataset: id, name or folder (default: the latest).")
@click.option(
    "--proposer",
    help="Who rewrites the system prompt: incumbent, judge, itself, or one of [[endpoints]] (NAME or NAME/MODEL). "
    "Without one, plain changes are tried.",
)
@click.option(
    "--budget-requests", type=click.IntRange(min=1), help="Requests the proposer may be asked, over all runs."
)
@click.option(
    "--budget-usd", metavar="USD", type=budget, help="Dollars that all of it may cost, over all runs."
)
@click.option(
    "--samples",
    type=click.IntRange(min=8),
    default=64,
    show_default=True,
    help="Validation samples to measure on.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the samples and of the search.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would ask and cost. Fetches and sends nothing.")
@config_option
@json_option("freehold.types.prompting:FoundPrompt", dry_run="freehold.types.prompting:PromptEstimate")
def command(  # click passes each option
    model: str,
    endpoint: str | None,
    dataset_id: str | None,
    proposer: str | None,
    budget_requests: int | None,
    budget_usd: Decimal | None,
    samples: int,
    seed: int,
    dry_run: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Find the way in which a model is best asked: your application goes on sending its own prompt.

    Plain changes (the role of the system prompt, a reminder, the labels or fields written out) are measured on
    validation samples. A proposer then rewrites the system prompt: it is shown some training samples with the model's
    answers and what the scorer says of them. What was answered and proposed is kept, so the same command goes on where
    it was stopped, and a larger budget where a smaller one ended.

    \b
    Example:
      freehold prompt HuggingFaceTB/SmolLM2-135M-Instruct
      freehold prompt qwen3-32b --endpoint house --proposer incumbent --budget-usd 2 --dry-run
      freehold prompt HuggingFaceTB/SmolLM2-135M-Instruct --proposer itself --budget-requests 60
    """
    from freehold.cli.progress import progress
    from freehold.types.prompting import FoundPrompt, PromptBudget
    from freehold.workflows.journey.prompt import find_prompt, plan_prompt
    from freehold.workflows.journey.prompting.planning import PromptRequest
    from freehold.workflows.project import open_project

    request = PromptRequest(
        model=model,
        endpoint=endpoint,
        proposer=proposer,
        budget=PromptBudget(requests=budget_requests, usd=budget_usd),
        samples=samples,
        seed=seed,
    )
    planned = plan_prompt(open_project(config_path), request, dataset_id=dataset_id)
    if dry_run and as_json:
        print_json(planned.estimate, "dry_run")
        return
    tell_estimate(planned.estimate)
    if dry_run:
        return
    with progress() as shown:
        made = find_prompt(planned, progress=shown)
    if as_json:
        print_json(FoundPrompt.of(made))
    else:
        show(made)


def tell_estimate(estimate: PromptEstimate) -> None:
    """What is about to be asked, of whom, and what it costs at most."""

    def say(text: str) -> None:
        echo(text, err=True)

    say(f"\nto find how {click.style(estimate.model, bold=True)} is best asked")
    say(f"  {estimate.variants} plain ways, on {estimate.validation_samples:,} validation samples")
    if estimate.proposer is not None:
        say(f"  then at most {estimate.proposer_requests:,} requests to {estimate.proposer}")
        if estimate.proposer_url is not None:
            say(
                f"  some of {estimate.train_samples:,} training samples, with the model's answers, are sent to "
                f"{estimate.proposer_url}"
            )
    cost = "the price is not known" if estimate.usd is None else f"about ${estimate.usd:.2f} at most"
    say(f"  together at most {estimate.candidate_requests:,} requests to the model, {cost}")
    for note in estimate.notes:
        say(f"  {note}")
    say("")


def show(made: PromptSearch) -> None:
    """The ways that were tried, what changed, and why."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="dim")
    for heading in ("", "way", "score", "wrong form", "tokens", "samples"):
        table.add_column(heading, justify="left" if heading in ("", "way") else "right")
    for place, one in enumerate(made.trials):
        table.add_row(
            "chosen" if place == made.chosen else "",
            one.name,
            f"{one.score:.1%}",
            f"{one.malformed_share:.1%}",
            "" if one.prompt_tokens is None else f"{one.prompt_tokens:,.0f}",
            f"{one.samples:,}",
        )
    console(highlight=False).print(table)
    echo("  measured on samples that the choice was made by: no proof, which freehold migrate gives")
    _show_change(made)
    refused = [one for one in made.proposals if one.refused is not None]
    if made.proposals:
        echo(f"\n  {len(made.proposals):,} proposals, {len(refused):,} refused{_counted(refused)}")
    spent = "" if made.spent_usd is None else f", ${made.spent_usd:.4f} spent"
    echo(
        f"  asked: the proposer {made.proposer_requests:,} times, the model {made.candidate_requests:,} times{spent}"
    )
    if made.stopped is not None:
        echo(f"  ended early: {made.stopped}", err=True)


def _show_change(made: PromptSearch) -> None:
    if not made.diff:
        echo("\n  nothing did better than the request as it is sent")
        return
    echo("\n  what changes for this model:")
    for line in made.diff:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        echo(f"    {click.style(line, fg=colour)}")
    if made.words:
        echo(f"  why, in the proposer's words: {made.words}")
    if made.added_tokens is not None:
        cost = made.added_usd_per_1000_requests
        usd = "" if cost is None else f", ${cost:.4f} per 1,000 requests"
        echo(f"  it adds {made.added_tokens:,.0f} tokens to a request{usd}")
    if made.system_share < 1:
        echo(
            f"  {made.system_share:.1%} of the requests have the system prompt that was changed; others go as they came"
        )
    echo('  to prove and serve it: method = "prompt" in [[candidates]], then freehold migrate')


def _counted(refused: list[PromptProposal]) -> str:
    from collections import Counter

    counted = Counter(one.refused for one in refused)
    told = ", ".join(f"{code} {count:,}" for code, count in counted.most_common())
    return f" ({told})" if told else ""
