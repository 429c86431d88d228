"""What `freehold train` prints instead of an adapter: samples as tokens, the plan, a learning curve, what leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging
from freehold.cli.output import console as make_console
from freehold.cli.output import echo, shows_colour

if TYPE_CHECKING:
    from freehold.types.gates import LeakReport
    from freehold.types.training import (
        Piece,
        PreviewSample,
        SplitMeasurement,
        TrainingCurve,
        TrainingPlan,
        TrainingPreview,
    )

SHOWN_TOKENS = 1500
"""Of a longer sample the middle of what is not learned is passed over, and said so."""


def show_preview(found: TrainingPreview) -> None:
    """Samples token by token: what is learned is green (without colour: in ⟦ ⟧), neighbours differ in shade."""
    console = make_console(highlight=False, soft_wrap=True)
    for sample in found.samples:
        _show_sample(console, sample)
    if not found.samples:
        echo("no sample can be shown: none of the first can be trained on")
    echo(f"{found.base_model}, template sha256 {found.template_sha256[:16]}…, method {found.method}")
    if found.call_format == "tagged":
        echo("tools and calls: in freehold's format, the base's chat template leaves them out")
    _show_measured(found.train)


def _show_sample(console: object, sample: PreviewSample) -> None:
    from rich.console import Console
    from rich.text import Text

    assert isinstance(console, Console)
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


def _show_measured(train: SplitMeasurement) -> None:
    looked = "" if train.looked_at == train.samples else f" ({train.looked_at:,} looked at)"
    echo(f"  samples      {train.samples:,}{looked}, {train.usable:,} can be trained on")
    for code, count in train.left_out.items():
        longest = f", the longest has {train.longest_over:,} tokens" if code == "over_long" else ""
        limit = f" (over max_tokens = {train.max_tokens:,}{longest})" if code == "over_long" else ""
        echo(f"  left out     {count:,} {code}{limit}")
    for one in train.first_left_out:
        echo(click.style(f"               {one.sample_id[:8]}: {one.reason}", dim=True))
    if train.usable:
        echo(
            f"  tokens       {train.median_tokens:,} median, {train.p95_tokens:,} at 95 %, "
            f"{train.longest_tokens:,} longest; the first {train.shared_tokens:,} are the same in all and "
            "computed once a batch"
        )
        echo(f"  learned      {train.learned_tokens / train.tokens:.0%} of the tokens")


def show_plan(plan: TrainingPlan) -> None:
    """The run before it runs."""
    from freehold.cli.choose.fit import show

    config = plan.config
    echo(f"plan for {plan.adapter_dir}")
    if plan.done:
        echo("  this very run is done already: freehold train returns its adapter")
    elif plan.resumes:
        echo("  a run of this job was interrupted: freehold train goes on from its checkpoint")
    _show_measured(plan.train)
    rank = "" if config.method == "full" else f", rank {config.r}"
    echo(f"  method       {config.method}{rank}, rate {config.learning_rate:g}")
    echo(f"  steps        {plan.steps:,}: {config.epochs:g} passes, {config.batch_size} samples a step")
    parts = (
        "all at once"
        if plan.parts_per_step == 1
        else f"about {plan.samples_at_once} at once, {plan.parts_per_step} parts whose gradients are added up"
    )
    echo(f"  a step       {parts}")
    echo(f"  tokens       {plan.train_tokens:,} in all")
    time = "not known" if plan.seconds is None else f"about {_duration(plan.seconds)}"
    echo(f"  time         {time}: {plan.seconds_basis}")
    for note in plan.notes:
        echo(hanging(note, "  note         "))
    show(plan.fit)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def show_curve(found: TrainingCurve) -> None:
    """The points, the forecast, and what it is worth."""
    echo("  training samples   right of validation samples")
    for one in found.runs:
        echo(f"  {one.samples:>16,}   {one.right / one.asked:6.1%} of {one.asked:,}")
    if not found.fits:
        echo(
            hanging(
                "The points do not lie on a learning curve by more than chance explains, so nothing is foretold. A run "
                "may have ended early; look at its loss.",
                "  ",
            )
        )
        return
    echo(
        f"  {found.twice_samples:>16,}   {found.twice_accuracy:6.1%} foretold, "
        f"95% interval [{found.twice_low:.1%}, {found.twice_high:.1%}]"
    )
    gain = found.twice_accuracy - found.runs[-1].right / found.runs[-1].asked
    echo(
        hanging(
            f"Twice the training samples: about {100 * max(gain, 0.0):.1f} points more. "
            "How many held-out items a proof needs is another question (freehold power).",
            "  ",
        )
    )


def show_leaks(report: LeakReport) -> None:
    """What came out of a model with planted strings, a line a kind."""
    for rate in report.rates:
        echo(rate.text)
    for note in report.notes:
        echo(f"note: {note}", err=True)
