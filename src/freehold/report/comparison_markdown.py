"""A comparison as Markdown, for a check of a pull request: figures, reasons and slices, and no word of any sample."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.report import words
from freehold.report.markdown import quiet, quoted
from freehold.report.risks import by_drop
from freehold.stats.rules import REASONS
from freehold.types.evaluation import Comparison, PairedResult

MOST_SLICES = 20
MOST_NOTES = 10
"""Of each, this many are shown: a forge takes comments of 65,536 characters."""


def comparison_markdown(result: PairedResult) -> str:
    """A verdict and what it rests on, in Markdown (CommonMark with tables), the heading at level 3."""
    lines = [
        f"### {words.MARKS[result.verdict]} {words.OUTCOMES[result.verdict]}: {_lower_headline(result)}",
        "",
    ]
    if isinstance(result, Comparison):
        names = f"{quoted(result.candidate)} against {quoted(result.incumbent)}"
        lines += [f"{names}, task {quoted(result.task)}", ""]
    lines += [f"- {quiet(REASONS.get(code, code))}" for code in result.reasons]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in _figures(result)]
    if result.slices:
        lines += _slices(result)
    if result.notes:
        lines += ["", *(f"- {quiet(note)}" for note in result.notes[:MOST_NOTES])]
        lines += _left_out(len(result.notes) - MOST_NOTES, "notes")
    return "\n".join([*lines, ""])


def _lower_headline(result: PairedResult) -> str:
    headline = words.HEADLINES[result.verdict]
    return headline[:1].lower() + headline[1:]


def _figures(result: PairedResult) -> Iterator[tuple[str, str]]:
    """What was measured, a name and a text for each."""
    if result.difference is None:
        yield "difference", f"{words.ABSENT}; margin {result.margin:g}"
    else:
        interval = (
            f" ({result.level:.4g} interval {result.ci_low:+.4f} to {result.ci_high:+.4f})"
            if result.ci_low is not None and result.ci_high is not None
            else ""
        )
        yield "candidate − incumbent", f"**{result.difference:+.4f}**{interval}; margin {result.margin:g}"
    if result.incumbent_mean is not None and result.candidate_mean is not None:
        yield "incumbent, candidate", f"{result.incumbent_mean:.4f}, {result.candidate_mean:.4f}"
    groups = f" in {result.n_groups:,} groups" if result.n_groups is not None else ""
    yield "pairs", f"{result.n:,} of {result.n_items:,} items{groups}"
    if result.a_only is not None and result.b_only is not None:
        yield "differ on", f"{result.a_only:,} only the incumbent right, {result.b_only:,} only the candidate"
    if any(result.unscored.values()):
        told = ", ".join(f"{count:,} {quiet(side)}" for side, count in result.unscored.items() if count)
        yield "unscored", told
    if isinstance(result, Comparison) and result.look is not None:
        yield "look at these items", f"{result.look.number} of {result.look.planned} planned"
    if result.verdict == "hold" and result.needed_n is not None:
        yield "would settle it", f"about {result.needed_n:,} held-out items"
    yield "method", quiet(result.method)


def _slices(result: PairedResult) -> list[str]:
    lines = ["", "| slice, worst first | n | difference | interval | |", "|---|--:|--:|--:|---|"]
    for one in by_drop(result.slices)[:MOST_SLICES]:
        difference = words.ABSENT if one.difference is None else f"{one.difference:+.4f}"
        interval = (
            words.ABSENT
            if one.ci_low is None or one.ci_high is None
            else f"{one.ci_low:+.3f} to {one.ci_high:+.3f}"
        )
        word = "**harmed**" if one.harmed else quiet(one.note or "")
        lines.append(f"| {quoted(one.name)} | {one.n:,} | {difference} | {interval} | {word} |")
    return [*lines, *_left_out(len(result.slices) - MOST_SLICES, "slices")]


def _left_out(count: int, what: str) -> list[str]:
    return ["", f"and {count:,} {what} more"] if count > 0 else []
