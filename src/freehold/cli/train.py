"""`freehold train`: teach a small open model the task, or say what that would take and bring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from freehold.cli.fit import fit_view
from freehold.cli.models import adapter_view
from freehold.cli.operation import BAR, Reply, opened, operation, opt
from freehold.cli.output import Block, shows_colour
from freehold.cli.output import console as make_console

if TYPE_CHECKING:
    from rich.console import Console

    from freehold.progress import Progress
    from freehold.types.training import (
        Piece,
        PreviewSample,
        SplitMeasurement,
        TrainingPlan,
        TrainingPreview,
    )
    from freehold.workflows.project import Project

SHOWN_TOKENS = 1500
"""Of a longer sample the middle of what is not learned is passed over, and said so."""


@operation(
    "train",
    "freehold.types.training:Adapter",
    preview="freehold.types.training:TrainingPreview",
    plan="freehold.types.training:TrainingPlan",
)
def train(
    *,
    base: str | None = opt("Model to train on (default: the first candidate that is trained so)."),
    dataset: str | None = opt("Dataset: id, name or folder (default: the latest)."),
    dry_run: bool = opt("Say what the run would take: memory, time, steps. Trains nothing."),
    preview_count: int | None = opt(
        "Show this many samples as tokens, with what is learned in colour. Trains nothing.",
        "--preview",
        ge=1,
        le=100,
    ),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Train an adapter on a dataset, loss on the assistant's tokens only, in a child process.

    How is said by `[train]` of freehold.toml, and by what the candidate of that model says there. A run that was
    interrupted goes on from its checkpoint when the same command is given again; a run that is done is not done again.

    \b
    Example:
      freehold train --preview 3
      freehold train --dry-run
      freehold train
      freehold train --base HuggingFaceTB/SmolLM2-135M-Instruct
    """
    from freehold.workflows.train.plan import plan_run, preview_run
    from freehold.workflows.train.train import options_for, train_project, training_inputs

    if dry_run and preview_count is not None:
        raise click.UsageError("one at a time: --dry-run, --preview")
    config = options_for(project.config, base)
    what = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
    if preview_count is not None:
        seen = preview_run(project, what, config=config, count=preview_count)
        return Reply(seen, preview_view, which="preview")
    if dry_run:
        return Reply(plan_run(project, what, config=config), plan_view, which="plan")
    bar.step("train")
    return Reply(train_project(project, what, config=config, progress=bar), adapter_view)


def preview_view(found: TrainingPreview) -> Iterator[Block]:
    """Samples token by token: what is learned is green (without colour: in ⟦ ⟧), neighbours differ in shade."""
    console = make_console(highlight=False, soft_wrap=True)
    for sample in found.samples:
        _show_sample(console, sample)
    if not found.samples:
        yield "no sample can be shown: none of the first can be trained on"
    yield f"{found.base_model}, template sha256 {found.template_sha256[:16]}…, method {found.method}"
    if found.call_format == "tagged":
        yield "tools and calls: in freehold's format, the base's chat template leaves them out"
    yield from _measured(found.train)


def _show_sample(console: Console, sample: PreviewSample) -> None:
    from rich.text import Text

    heading = f"{sample.id[:8]}  {sample.tokens:,} tokens, {sample.learned_tokens:,} learned"
    console.print(Text(heading, style="bold"))
    coloured = shows_colour(console)
    line = Text()
    learned = False
    for place, piece in enumerate(_shortened(sample)):
        if piece is None:
            line.append(" … ", style="dim italic")
            continue
        if not coloured and piece.learned != learned:
            line.append("⟦" if piece.learned else "⟧")
        learned = piece.learned
        # Line ends and tabs are seen, what is learned is green, neighbours differ in shade.
        if piece.learned:
            style = "bold white on dark_green" if place % 2 else "bold white on green4"
        else:
            style = "default on grey15" if place % 2 else "dim"
        line.append(piece.text.replace("\n", "↵\n").replace("\t", "⇥"), style=style)
    if learned and not coloured:
        line.append("⟧")
    console.print(line)
    console.print()


def _shortened(sample: PreviewSample) -> list[Piece | None]:
    """The pieces; where there are too many, those not learned in the middle are one `None`."""
    pieces = list(sample.pieces)
    over = len(pieces) - SHOWN_TOKENS
    if over <= 0:
        return list(pieces)
    unlearned = [place for place, piece in enumerate(pieces) if not piece.learned]
    gone = set(unlearned[len(unlearned) // 4 : len(unlearned) // 4 + over])
    kept: list[Piece | None] = []
    for place, piece in enumerate(pieces):
        if place not in gone:
            kept.append(piece)
        elif kept and kept[-1] is not None:
            kept.append(None)
    return kept


def _measured(train: SplitMeasurement) -> Iterator[Block]:
    looked = "" if train.looked_at == train.samples else f" ({train.looked_at:,} looked at)"
    yield "samples", f"{train.samples:,}{looked}, {train.usable:,} can be trained on"
    for code, count in train.left_out.items():
        longest = f", the longest has {train.longest_over:,} tokens" if code == "over_long" else ""
        limit = f" (over max_tokens = {train.max_tokens:,}{longest})" if code == "over_long" else ""
        yield "left out", f"{count:,} {code}{limit}"
    for one in train.first_left_out:
        yield "left out", click.style(f"{one.sample_id[:8]}: {one.reason}", dim=True)
    if train.usable:
        yield (
            "tokens",
            f"{train.median_tokens:,} median, {train.p95_tokens:,} at 95 %, {train.longest_tokens:,} longest; the "
            f"first {train.shared_tokens:,} are the same in all and computed once a batch",
        )
        yield "learned", f"{train.learned_tokens / train.tokens:.0%} of the tokens"


def plan_view(plan: TrainingPlan) -> Iterator[Block]:
    """The run before it runs."""
    config = plan.config
    yield f"plan for {plan.adapter_dir}"
    if plan.done:
        yield "  this very run is done already: freehold train returns its adapter"
    elif plan.resumes:
        yield "  a run of this job was interrupted: freehold train goes on from its checkpoint"
    yield from _measured(plan.train)
    yield "method", f"{config.method}, rank {config.r}, rate {config.learning_rate:g}"
    yield "steps", f"{plan.steps:,}: {config.epochs:g} passes, {config.batch_size} samples a step"
    parts = (
        "all at once"
        if plan.parts_per_step == 1
        else f"about {plan.samples_at_once} at once, {plan.parts_per_step} parts whose gradients are added up"
    )
    yield "a step", f"{parts}"
    yield "tokens", f"{plan.train_tokens:,} in all"
    time = "not known" if plan.seconds is None else f"about {_duration(plan.seconds)}"
    yield "time", f"{time}: {plan.seconds_basis}"
    yield from (("note", note) for note in plan.notes)
    yield from fit_view(plan.fit)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
