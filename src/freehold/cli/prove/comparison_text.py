"""A comparison, its slices and its items as text for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from freehold.cli.options import hanging
from freehold.cli.output import echo
from freehold.types.evaluated import Disagreement, LatencySummary
from freehold.types.evaluation import Comparison
from freehold.verdict.reasons import REASONS

_COLORS = {"promote": "green", "hold": "yellow", "reject": "red"}


def show_comparison(comparison: Comparison) -> None:
    """Print a comparison: the outcome first, then the numbers it rests on."""
    outcome = click.style(comparison.verdict.upper(), fg=_COLORS[comparison.verdict], bold=True)
    echo(f"{outcome}  {comparison.candidate} against {comparison.incumbent}, task {comparison.task}")
    for code in comparison.reasons:
        echo(hanging(f"{code}: {REASONS.get(code, code)}", "  ", "    "))
    echo("")
    for name, text in _numbers(comparison):
        echo(f"  {name:<20} {text}")
    if comparison.slices:
        echo("\n  slices, worst first")
        for part in comparison.slices:
            mark = click.style("harmed", fg="red") if part.harmed else (part.note or "")
            echo(
                f"    {part.name:<36.36} n {part.n:>6,}  {_signed(part.difference)}  "
                f"{_interval(part.ci_low, part.ci_high)}  {mark}".rstrip()
            )
    if comparison.notes:
        echo("")
    for note in comparison.notes:
        echo(hanging(note, "  · "))


def show_latency(latency: LatencySummary) -> None:
    """Print how fast the candidate's answers came."""
    if latency.total_p50_ms is None:
        return
    first = (
        f", first token {latency.ttft_p50_ms:,.0f} / {latency.ttft_p95_ms:,.0f} ms"
        if latency.ttft_p50_ms
        else ""
    )
    echo(
        f"\n  latency              median / p95: total {latency.total_p50_ms:,.0f} / "
        f"{latency.total_p95_ms:,.0f} ms{first}, {latency.concurrency} at once"
    )
    if latency.completion_tokens is not None:
        echo(f"  tokens               {latency.prompt_tokens or 0:,} in, {latency.completion_tokens:,} out")


def differing_text(total: int, comparison: Comparison) -> str:
    """How many items were not scored alike; those with one score only are no part of what the models differ on."""
    text = f"{total:,} items scored differently"
    if comparison.a_only is None or comparison.b_only is None:
        return text
    lonely = total - comparison.a_only - comparison.b_only
    return f"{text}, {lonely:,} of them scored for one model only" if lonely > 0 else text


def show_items(items: Sequence[Disagreement], differing: str) -> None:
    """Print disagreements, both answers one under the other with what differs between them. `differing` says how many
    there are."""
    echo(f"\n{len(items)} of {differing}, the candidate's losses first")
    for number, item in enumerate(items, 1):
        echo(f"\n{click.style(f'{number}. {item.sample_id}', bold=True)}")
        echo(f"   asked      {_line(item.question)}")
        if item.reference is not None:
            echo(f"   right      {_line(item.reference)}")
        echo(f"   incumbent  {_score(item.incumbent_score)}  {_line(item.incumbent_answer)}")
        if item.incumbent_reason:
            echo(f"   because          {_line(item.incumbent_reason)}")
        echo(f"   candidate  {_score(item.candidate_score)}  {_line(item.candidate_answer)}")
        if item.candidate_reason:
            echo(f"   because          {_line(item.candidate_reason)}")
        wrong = [name for name, value in item.parts.items() if value < 1]
        if wrong:
            echo(f"   wrong      {', '.join(wrong)}")
        if item.incumbent_answer and item.candidate_answer:
            for text in _diff(item.incumbent_answer, item.candidate_answer):
                echo(f"     {text}")


def _numbers(comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield (
        "difference",
        (
            f"{_signed(comparison.difference)}  {comparison.level:.4g} interval "
            f"{_interval(comparison.ci_low, comparison.ci_high)}  margin {comparison.margin:g}"
        ),
    )
    if comparison.incumbent_mean is not None or comparison.candidate_mean is not None:
        yield (
            "incumbent, candidate",
            f"{_mean(comparison.incumbent_mean)}, {_mean(comparison.candidate_mean)}",
        )
    groups = f" in {comparison.n_groups:,} groups" if comparison.n_groups is not None else ""
    yield "pairs", f"{comparison.n:,} of {comparison.n_items:,} items{groups}"
    if comparison.a_only is not None:
        yield (
            "differ on",
            f"{comparison.a_only:,} only the incumbent right, {comparison.b_only:,} only the candidate",
        )
    if any(comparison.unscored.values()):
        yield (
            "unscored",
            ", ".join(f"{count:,} {side}" for side, count in comparison.unscored.items() if count),
        )
    if comparison.incumbent_format_failures or comparison.candidate_format_failures:
        failures = comparison.incumbent_format_failures, comparison.candidate_format_failures
        yield "wrong form", f"incumbent {failures[0]:,}, candidate {failures[1]:,}"
    yield "method", comparison.method
    p = comparison.p_exact if comparison.p_exact is not None else comparison.p_noninferiority
    if p is not None:
        kind = "exact" if comparison.p_exact is not None else "score"
        yield "non-inferiority", f"p = {p:.4g} ({kind}), alpha {comparison.alpha:g} one-sided"
    if comparison.smallest_detectable is not None:
        yield "this n could see", f"a margin of {comparison.smallest_detectable:.3f} with 80% power"
    if comparison.needed_n is not None and comparison.verdict == "hold":
        yield "would settle it", f"about {comparison.needed_n:,} held-out items"


def _signed(value: float | None) -> str:
    return "     –" if value is None else f"{value:+.4f}"


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(low: float | None, high: float | None) -> str:
    return "[–]" if low is None or high is None else f"[{low:+.4f}, {high:+.4f}]"


def _score(value: float | None) -> str:
    return "   –" if value is None else f"{value:4.2f}"


def _line(text: str | None, limit: int = 200) -> str:
    if text is None:
        return "(no answer)"
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _diff(left: str, right: str, limit: int = 12) -> Iterator[str]:
    """What the candidate says otherwise: taken out ``-`` and put in ``+``, JSON objects key by key, else by words."""
    pieces = _json_pieces(left, right) or _word_pieces(left, right)
    for shown, (gone, new) in enumerate(pieces):
        if shown == limit:
            yield "…"
            return
        if gone:
            yield click.style(f"- {_line(gone, 100)}", fg="red")
        if new:
            yield click.style(f"+ {_line(new, 100)}", fg="green")


def _json_pieces(left: str, right: str) -> list[tuple[str, str]]:
    try:
        one, other = msgspec.json.decode(left), msgspec.json.decode(right)
    except msgspec.DecodeError:
        return []
    if not isinstance(one, dict) or not isinstance(other, dict):
        return []

    def said(value: dict[str, Any], key: str) -> str:
        return f"{key}: {msgspec.json.encode(value[key]).decode()}" if key in value else ""

    keys = dict.fromkeys([*one, *other])
    absent = object()
    return [
        (said(one, key), said(other, key)) for key in keys if one.get(key, absent) != other.get(key, absent)
    ]


def _word_pieces(left: str, right: str) -> list[tuple[str, str]]:
    one, other = left.split(), right.split()
    codes = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [
        (" ".join(one[a0:a1]), " ".join(other[b0:b1])) for kind, a0, a1, b0, b1 in codes if kind != "equal"
    ]
