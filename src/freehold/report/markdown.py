"""The report as Markdown: the same record as the page, for a pull request or a mail. Text of others is made inert."""

from __future__ import annotations

import re
from collections.abc import Iterator

from freehold.report import first_screen, words
from freehold.report.page import records_of
from freehold.types.evaluation import Comparison, PairedResult
from freehold.types.report import CandidateReport, Report
from freehold.verdict.reasons import REASONS
from freehold.visible import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~$@:-])")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|~$@&:]")


def render_markdown(report: Report) -> str:
    """The report in Markdown (CommonMark with tables)."""
    lead = report.lead
    lines = [f"# {inert(report.app)}: {words.headline(lead) if lead else 'no candidate was tried'}", ""]
    if lead is not None:
        lines += [f"**{inert(first_screen.one_sentence(report, lead))}**", ""]
    lines += _next(report)
    lines += ["| question | answer | |", "|---|---|---|"]
    for tile in first_screen.tiles(report, lead):
        detail = inert(tile.detail) + (f": run {code(tile.command)}" if tile.command else "")
        lines.append(f"| {tile.question} | **{inert(tile.answer)}** | {detail} {_ids(tile.records)} |")
    lines += ["", "## What would change it", ""]
    lines += [f"- {inert(one.sentence)} {code(one.command)}" for one in first_screen.would_change(lead)] or [
        "- A candidate that can be tried."
    ]
    lines += ["", f"**Valid until** {inert(first_screen.validity(report))}", ""]
    if lead is not None:
        lines += [*_why(lead), *_risks(lead), *_lost(lead), *_slices(lead)]
    lines += [*_candidates(report), *_data(report), *_records(report)]
    lines += [f"freehold {report.version}, report `{report.id}`, {report.at:%Y-%m-%d %H:%M} UTC", ""]
    return "\n".join(lines)


def inert(text: str) -> str:
    """Text of others that is shown as it is: no link, no markup, no line of its own."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def code(text: str) -> str:
    """A command, or an id, in one line of code."""
    plain = one_line(text).replace("|", "\\|")
    return f"`{plain}`" if "`" not in plain else f"`` {plain} ``"


def quiet(text: str, most: int = 300) -> str:
    """`inert`, at most `most` characters, that also notifies no person and refers to nothing: forges look for ``@name``
    and ``#12`` in what Markdown has made, where no backslash is left."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    escaped = inert(short.replace("&", "&amp;"))
    return escaped.replace("\\@", "@&#8203;").replace("\\#", "#&#8203;")


def quoted(text: str, most: int = 300) -> str:
    """A name of others as code, at most `most` characters: no mention, no reference, no markup."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return code(short.replace("`", "'"))


def _ids(ids: tuple[str, ...]) -> str:
    return " ".join(code(id) for id in ids)


def _next(report: Report) -> list[str]:
    standing = report.standing
    if standing is None:
        return []
    why = f" ({inert(standing.next.why)})" if standing.next.why else ""
    return [f"**What next:** {inert(standing.next.sentence)}: {code(standing.next.command)}{why}", ""]


def _why(lead: CandidateReport) -> list[str]:
    if lead.verdict is None:
        return []
    deciding = [one for one in lead.verdict.reasons if one.effect == lead.verdict.outcome]
    lines = ["", f"## Why {lead.verdict.outcome}", ""]
    lines += [f"- {inert(one.text)} {code(one.record_id or one.code)}" for one in deciding]
    if lead.verdict.conditions:
        lines += ["", "Before traffic moves:", "", *(f"- {inert(one)}" for one in lead.verdict.conditions)]
    return lines


def _risks(lead: CandidateReport) -> list[str]:
    worst = first_screen.worst_slice(lead)
    lines = ["", "## What could go wrong", ""]
    if worst is not None:
        lost = words.points(worst.difference)
        harmed = ", **harmed**" if worst.harmed else ""
        lines.append(f"- Worst slice: {inert(worst.name)}, {lost} points on {worst.n:,} samples{harmed}")
    if lead.retained is not None:
        lines.append(f"- Other skills: {inert(lead.retained.text)} {code(lead.retained.id)}")
    lines.append(f"- How sure it is: {inert(first_screen.calibration(lead))}")
    if lead.encoder is not None and lead.encoder.ended is not None:
        lines.append(f"- Learned no further: {inert(lead.encoder.ended.why)} {code(lead.encoder.id)}")
    if (baseline := first_screen.baseline(lead)) is not None:
        lines.append(f"- Against a baseline: {inert(baseline)}")
    if lead.parity is not None:
        lines.append(f"- Served as made: {inert(lead.parity.check_result().text)} {code(lead.parity.id)}")
    return lines


def _lost(lead: CandidateReport) -> list[str]:
    found = lead.regressions
    if found is None:
        return []
    lines = ["", "## Where it lost" + (", answering everything itself" if lead.is_mixture else ""), ""]
    lines.append(f"Of {found.scored:,} pairs the candidate lost {found.lost:,} and won {found.won:,}.")
    lines += ["", *(f"- {inert(cause)}: {count:,}" for cause, count in found.by_cause.items())]
    if found.by_field:
        lines += ["", "| field | candidate wrong | incumbent wrong |", "|---|--:|--:|"]
        lines += [f"| {inert(name)} | {one:,} | {other:,} |" for name, (one, other) in found.by_field.items()]
    if found.confusions:
        lines += ["", "| right | candidate said | times |", "|---|---|--:|"]
        lines += [f"| {inert(right)} | {inert(said)} | {n:,} |" for right, said, n in found.confusions]
    return lines


def _slices(lead: CandidateReport) -> list[str]:
    k = lead.proof
    if k is None or not k.slices:
        return []
    lines = ["", "## By slice, worst first", ""]
    lines += ["| slice | samples | difference | interval | |", "|---|--:|--:|--:|---|"]
    for one in k.slices:
        middle, low, high = (words.points(value) for value in (one.difference, one.ci_low, one.ci_high))
        word = "**harmed**" if one.harmed else inert(one.note or "")
        lines.append(f"| {inert(one.name)} | {one.n:,} | {middle} | {low} to {high} | {word} |")
    return lines


def _candidates(report: Report) -> list[str]:
    lines = [
        "",
        "## Candidates",
        "",
        "| candidate | state | score | difference | n |",
        "|---|---|--:|--:|--:|",
    ]
    for one in report.candidates:
        k = one.proof
        found = one.selection
        mean = found.mean if one.score is None and found is not None else one.score
        difference = k.difference if k is not None else None if found is None else found.difference
        n = k.n if k is not None else 0 if found is None else found.n
        lines.append(
            f"| {inert(one.label)} | {words.state(one)} | {words.percent(mean)} | {words.points(difference)} | {n:,} |"
        )
    return lines


def _data(report: Report) -> list[str]:
    lines = ["", "## The data", "", f"Dataset {code(report.dataset.id)}", ""]
    lines += [
        f"- {split.name.replace('_', '-')}: {split.samples:,} samples" for split in report.dataset.splits
    ]
    return [*lines, *(f"- {inert(line)}" for line in report.data)]


def _records(report: Report) -> list[str]:
    lines = ["", "## Where every number comes from", "", "| record | id |", "|---|---|"]
    lines.append(f"| dataset | {code(report.dataset.id)} |")
    for one in report.candidates:
        lines += [f"| {kind}, {inert(one.label)} | {code(record.id)} |" for kind, record in records_of(one)]
    return [*lines, ""]


MOST_SLICES = 20
MOST_NOTES = 10
"""Of each, this many are shown: a forge takes comments of 65,536 characters."""


def comparison_markdown(result: PairedResult, *, shares: bool = True) -> str:
    """A verdict and what it rests on, in Markdown (CommonMark with tables), the heading at level 3. No word of any
    sample is in it. `shares` as in `comparison_figures`."""
    lines = [
        f"### {words.MARKS[result.verdict]} {words.OUTCOMES[result.verdict]}: {_lower_headline(result)}",
        "",
    ]
    if isinstance(result, Comparison):
        names = f"{quoted(result.candidate)} against {quoted(result.incumbent)}"
        lines += [f"{names}, task {quoted(result.task)}", ""]
    lines += [f"- {quiet(REASONS.get(code, code))}" for code in result.reasons]
    lines += ["", "| | |", "|---|---|"]
    lines += [
        f"| {name} | {quiet(text) if _MARKUP.search(text) else text} |"
        for name, text in comparison_figures(result, shares=shares)
    ]
    if result.slices:
        lines += _comparison_slices(result, shares)
    if result.notes:
        lines += ["", *(f"- {quiet(note)}" for note in result.notes[:MOST_NOTES])]
        lines += _left_out(len(result.notes) - MOST_NOTES, "notes")
    return "\n".join([*lines, ""])


def _lower_headline(result: PairedResult) -> str:
    headline = words.HEADLINES[result.verdict]
    return headline[:1].lower() + headline[1:]


def signed(value: float | None, shares: bool) -> str:
    """A difference in points where scores are shares, else on their own scale."""
    return words.points(value) if shares or value is None else f"{value:+.4f}".replace("-", "−")


def comparison_figures(result: PairedResult, *, shares: bool = True) -> Iterator[tuple[str, str]]:
    """What was measured, a name and a text for each: on a terminal and in Markdown alike. `shares`: scores are from 0
    to 1, so differences are told in points."""
    margin = f"{100 * result.margin:g} points" if shares else f"{result.margin:g}"
    if result.difference is None:
        yield "difference", f"{words.ABSENT}; margin {margin}"
    else:
        interval = ""
        if result.ci_low is not None and result.ci_high is not None:
            low, high = signed(result.ci_low, shares), signed(result.ci_high, shares)
            interval = f" ({100 * result.level:.4g}% interval {low} to {high})"
        difference = f"{signed(result.difference, shares)}{' points' if shares else ''}"
        yield "candidate − incumbent", f"{difference}{interval}; margin {margin}"
    if result.incumbent_mean is not None and result.candidate_mean is not None:
        means = (result.incumbent_mean, result.candidate_mean)
        yield (
            "incumbent, candidate",
            ", ".join(words.percent(one) if shares else f"{one:.4f}" for one in means),
        )
    groups = f" in {result.n_groups:,} groups" if result.n_groups is not None else ""
    yield "pairs", f"{result.n:,} of {result.n_items:,} items{groups}"
    if result.a_only is not None and result.b_only is not None:
        yield "differ on", f"{result.a_only:,} only the incumbent right, {result.b_only:,} only the candidate"
    if any(result.unscored.values()):
        yield "unscored", ", ".join(f"{count:,} {side}" for side, count in result.unscored.items() if count)
    if isinstance(result, Comparison):
        failures = result.incumbent_format_failures, result.candidate_format_failures
        if any(failures):
            yield "wrong form", f"incumbent {failures[0]:,}, candidate {failures[1]:,}"
        if result.look is not None:
            yield "evaluation of these items", result.look.text
    yield "method", result.method
    p = result.p_exact if result.p_exact is not None else result.p_noninferiority
    if p is not None:
        kind = "exact" if result.p_exact is not None else "score"
        yield "non-inferiority", f"p = {p:.4g} ({kind}), alpha {result.alpha:g} one-sided"
    if result.smallest_detectable is not None:
        least = result.smallest_detectable
        seen = f"{100 * least:.1f} points" if shares else f"{least:.3f}"
        yield "this n could see", f"a margin of {seen} with 80% power"
    if result.verdict == "hold" and result.needed_n is not None:
        yield "would settle it", f"about {result.needed_n:,} held-out items"


def _comparison_slices(result: PairedResult, shares: bool) -> list[str]:
    lines = ["", "| slice, worst first | n | difference | interval | |", "|---|--:|--:|--:|---|"]
    for one in result.slices[:MOST_SLICES]:
        difference = signed(one.difference, shares)
        interval = (
            words.ABSENT
            if one.ci_low is None or one.ci_high is None
            else f"{signed(one.ci_low, shares)} to {signed(one.ci_high, shares)}"
        )
        word = "**harmed**" if one.harmed else quiet(one.note or "")
        lines.append(f"| {quoted(one.name)} | {one.n:,} | {difference} | {interval} | {word} |")
    return [*lines, *_left_out(len(result.slices) - MOST_SLICES, "slices")]


def _left_out(count: int, what: str) -> list[str]:
    return ["", f"and {count:,} {what} more"] if count > 0 else []
