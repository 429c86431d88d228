"""What `freehold dataset show --tokens` prints: samples as the tokens of a model, with what is learned marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.cli.output import console as make_console
from freehold.cli.output import echo, shows_colour

if TYPE_CHECKING:
    from rich.text import Text

    from freehold.types.planning.token_mask import MaskedSample, TokenMasks

_BECAUSE = {
    "named": "as named",
    "chosen": "the chosen candidate's base",
    "trained": "the last run's base",
    "first": "the first candidate that writes text",
}


def show_masks(found: TokenMasks) -> None:
    """What is learned is green, without colour in ⟦ ⟧; neighbouring tokens differ in shade."""
    console = make_console(highlight=False)
    coloured = shows_colour(console)
    for sample in found.masked.samples:
        echo(f"{sample.id[:8]}  {sample.tokens:,} tokens, {sample.learned_tokens:,} learned")
        console.print(_tokens(sample, coloured=coloured))
        console.print()
    for one in found.masked.left_out:
        echo(f"{one.sample_id[:8]}  training leaves it out: {one.reason}")
    marked = "green" if coloured else "in ⟦ ⟧"
    echo(
        f"{found.base_model} ({_BECAUSE[found.because]}), method {found.method}; what is learned is {marked}"
    )
    if found.masked.call_format == "tagged":
        echo("tools and calls are in freehold's format: the base's chat template leaves them out")


def _tokens(sample: MaskedSample, *, coloured: bool) -> Text:
    from rich.text import Text

    line = Text()
    for run in sample.runs:
        if not coloured and run.learned:
            line.append("⟦")
        if run.left_out:
            line.append(f" … {run.left_out:,} tokens … ", style="dim italic")
        for place, text in enumerate(run.tokens):
            append_token(line, text, learned=run.learned, place=place)
        if not coloured and run.learned:
            line.append("⟧")
    return line


def append_token(line: Text, text: str, *, learned: bool, place: int) -> None:
    """One token: line ends and tabs are seen, what is learned is green, neighbours differ in shade."""
    if learned:
        style = "bold white on dark_green" if place % 2 else "bold white on green4"
    else:
        style = "default on grey15" if place % 2 else "dim"
    line.append(text.replace("\n", "↵\n").replace("\t", "⇥"), style=style)
