"""`freehold evaluate`: a candidate against the frozen incumbent, or two files of outputs"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freehold.cli.operation import ANYWAY, BAR, MARKDOWN, Reply, opened, operation, opt
from freehold.cli.options import address, not_with, only_with, variable_name, write_markdown
from freehold.cli.output import Block
from freehold.errors import UsageError
from freehold.types.evaluated import Disagreement, Evaluation, LatencySummary
from freehold.types.evaluation import Comparison, PairedResult
from freehold.types.verdict import EXIT_CODES
from freehold.verdict.reasons import REASONS

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.project import Project

WIDTH = 60
"""Columns of the picture of an interval."""
VERDICT_COLOURS = {"promote": "green", "hold": "yellow", "reject": "red"}


@operation("evaluate", "freehold.types.evaluated:Evaluation")
def evaluate(
    *,
    url: str | None = opt(
        "Address of the candidate, such as http://127.0.0.1:8420.", "--endpoint", check=address
    ),
    model: str | None = opt("The candidate's model name there."),
    dataset_id: str | None = opt("Dataset: id, name or folder (default: the latest).", "--dataset"),
    api_key_env: str | None = opt("Environment variable that holds the endpoint's key.", check=variable_name),
    fresh: bool = opt("Ask everything again instead of using kept answers."),
    a: str | None = opt(
        "Outputs of the incumbent: JSON lines, or another tool's results.", metavar="FILE[::NAME]"
    ),
    b: str | None = opt("Outputs of the candidate.", metavar="FILE[::NAME]"),
    scorer: str | None = opt(
        "Scorer instead of freehold.toml's, or a TOML file with a [task]; 'given': the files' scores.",
        "--task",
    ),
    options: tuple[str, ...] = opt(
        "Scorer option; the value is JSON or text.", "--option", metavar="KEY=VALUE"
    ),
    margin: float | None = opt("Largest drop you accept, on the score's scale."),
    planned_looks: int = opt(
        "How often these items will be evaluated in all; alpha is divided among the looks.", default=1, ge=1
    ),
    gold: Path | None = opt("Right answers {id, gold}, where a and b have none."),
    items: int = opt("Show this many disagreements.", default=0, ge=0),
    markdown: Path | None = MARKDOWN,
    anyway: bool = ANYWAY,
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Is the candidate good enough, on your items, against the model you pay for?

    Exit code 0: promote, 1: reject, 3: hold (not proven either way), 2: it could not be done.

    \b
    Example:
      freehold evaluate --endpoint http://127.0.0.1:8420 --model smollm2:helpdesk
      freehold evaluate --a gpt4o.jsonl --b smollm2.jsonl --task label --margin 0.02 --items 10
      freehold evaluate --a gpt4o.jsonl --b smollm2.jsonl --task label --markdown verdict.md
    """
    import anyio

    from freehold.types.endpoint import Endpoint
    from freehold.workflows.prove.evaluate import HeldOutSelection, ServedCandidate, evaluate_project
    from freehold.workflows.prove.outputs import OutputFiles, evaluate_files, files_task
    from freehold.workflows.prove.task import task_of

    if (a is None) != (b is None) or (a is None) == (url is None):
        raise UsageError(
            "say what to compare: an endpoint, or two files of outputs",
            hint="--endpoint URL --model NAME, or --a FILE --b FILE",
        )
    only_with("--a", a is not None, "gold")
    not_with("--a", a is not None, "model", "dataset_id", "api_key_env", "fresh")
    read_task = task_of if a is None else files_task
    task = read_task(project, scorer=scorer, options=_parsed(options), margin=margin)

    async def work() -> Evaluation:
        if a is not None and b is not None:
            outputs = OutputFiles(a, b, gold)
            return await evaluate_files(
                project, outputs, task, planned_looks=planned_looks, anyway=anyway, progress=bar
            )
        if model is None:
            raise UsageError("--endpoint needs --model", hint=f"curl {url}/v1/models lists them")
        bar.step("replay the held-out samples")
        endpoint = Endpoint(name=str(url), engine="remote", base_url=str(url), api_key_env=api_key_env)
        return await evaluate_project(
            project,
            ServedCandidate(endpoint, model),
            task,
            selection=HeldOutSelection(dataset_id, planned_looks=planned_looks),
            fresh=fresh,
            anyway=anyway,
            progress=bar,
        )

    return _reply(anyio.run(work), items, markdown)


def _reply(made: Evaluation, items: int, markdown: Path | None) -> Reply:
    from freehold.report.markdown import comparison_markdown

    comparison = made.comparison
    assert comparison is not None  # only a journey may do without an incumbent
    write_markdown(markdown, comparison_markdown(comparison))
    return Reply(made, lambda _: _view(made, comparison, items), EXIT_CODES[comparison.verdict])


def _view(made: Evaluation, comparison: Comparison, items: int) -> Iterator[Block]:
    yield from comparison_view(comparison)
    yield from _latency(made.latency)
    if made.incumbent_cost_usd is not None:
        yield "the incumbent", f"about ${made.incumbent_cost_usd:.2f} for these requests at the list price"
    yield "sandbox", made.sandbox and f"{made.sandbox}, for your scorer"
    if made.from_cache:
        yield f"\n  {made.from_cache:,} answers were kept from before; --fresh asks again"
    differing = differing_text(made.disagreements_total, comparison)
    if items:
        yield from _items(made.disagreements[:items], differing)
    elif made.disagreements_total:
        yield f"\n  {differing}; --items 10 shows the first"
    if made.results_file:
        yield f"  every answer and score: {made.results_file}"


def _parsed(options: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise UsageError(
                f"--option {option}: expected KEY=VALUE", hint="for example --option tolerance=0.01"
            )
        try:
            found[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            found[key] = text
    return found


def comparison_view(comparison: PairedResult, *, shares: bool = True) -> Iterator[Block]:
    """A comparison: the outcome first, then the numbers it rests on. `shares` as in `comparison_figures`."""
    from freehold.report.markdown import comparison_figures, signed

    outcome = click.style(comparison.verdict.upper(), fg=VERDICT_COLOURS[comparison.verdict], bold=True)
    names = ""
    if isinstance(comparison, Comparison):
        names = f"  {comparison.candidate} against {comparison.incumbent}, task {comparison.task}"
    yield outcome + names
    yield from (f"  {REASONS.get(code, code)}" for code in comparison.reasons)
    yield ""
    yield from comparison_figures(comparison, shares=shares)
    if (picture := interval_picture(comparison)) is not None:
        yield f"\n  {picture[0]}\n  {click.style(picture[1], dim=True)}"
    if comparison.slices:
        yield "\n  slices, worst first"
        for part in comparison.slices:
            mark = click.style("harmed", fg="red") if part.harmed else (part.note or "")
            known = part.ci_low is not None and part.ci_high is not None
            ends = f"{signed(part.ci_low, shares)} to {signed(part.ci_high, shares)}" if known else "–"
            difference = "–" if part.difference is None else signed(part.difference, shares)
            yield f"    {part.name:<36.36} n {part.n:>6,}  {difference:>6}  {ends}  {mark}".rstrip()
    if comparison.notes:
        yield ""
    yield from (f"  · {note}" for note in comparison.notes)


def interval_picture(comparison: PairedResult) -> tuple[str, str] | None:
    """The interval drawn over a ruler that marks minus the margin (┊) and zero (0)."""
    low, middle, high, margin = (
        comparison.ci_low,
        comparison.difference,
        comparison.ci_high,
        comparison.margin,
    )
    if low is None or middle is None or high is None:
        return None
    left, right = min(low, -margin), max(high, 0.0)
    pad = (right - left) * 0.05 or 1.0
    left, right = left - pad, right + pad

    def column(value: float) -> int:
        return round((value - left) / (right - left) * (WIDTH - 1))

    bar = [" "] * WIDTH
    for position in range(column(low), column(high) + 1):
        bar[position] = "─"
    bar[column(low)], bar[column(high)] = "├", "┤"
    bar[column(middle)] = "●"
    ruler = ["·"] * WIDTH
    ruler[column(-margin)], ruler[column(0.0)] = "┊", "0"
    return "".join(bar).rstrip(), "".join(ruler)


def _latency(latency: LatencySummary) -> Iterator[Block]:
    """How fast the candidate's answers came."""
    if latency.total_p50_ms is None:
        return
    first = (
        f", first token {latency.ttft_p50_ms:,.0f} / {latency.ttft_p95_ms:,.0f} ms"
        if latency.ttft_p50_ms
        else ""
    )
    yield ""
    yield (
        "latency",
        f"median / p95: total {latency.total_p50_ms:,.0f} / {latency.total_p95_ms:,.0f} ms{first}, "
        f"{latency.concurrency} at once",
    )
    if latency.completion_tokens is not None:
        yield "tokens", f"{latency.prompt_tokens or 0:,} in, {latency.completion_tokens:,} out"


def differing_text(total: int, comparison: Comparison) -> str:
    """How many items were not scored alike; those with one score only are no part of what the models differ on."""
    text = f"{total:,} items scored differently"
    if comparison.a_only is None or comparison.b_only is None:
        return text
    lonely = total - comparison.a_only - comparison.b_only
    return f"{text}, {lonely:,} of them scored for one model only" if lonely > 0 else text


def _items(items: Sequence[Disagreement], differing: str) -> Iterator[Block]:
    """Disagreements, both answers one under the other with what differs between them. `differing` says how many
    there are."""
    yield f"\n{len(items)} of {differing}, the candidate's losses first"
    for number, item in enumerate(items, 1):
        yield f"\n{click.style(f'{number}. {item.sample_id}', bold=True)}"
        yield f"   asked      {_line(item.question)}"
        if item.reference is not None:
            yield f"   right      {_line(item.reference)}"
        yield f"   incumbent  {_score(item.incumbent_score)}  {_line(item.incumbent_answer)}"
        if item.incumbent_reason:
            yield f"   because          {_line(item.incumbent_reason)}"
        yield f"   candidate  {_score(item.candidate_score)}  {_line(item.candidate_answer)}"
        if item.candidate_reason:
            yield f"   because          {_line(item.candidate_reason)}"
        wrong = [name for name, value in item.parts.items() if value < 1]
        if wrong:
            yield f"   wrong      {', '.join(wrong)}"
        if item.incumbent_answer and item.candidate_answer:
            for text in _diff(item.incumbent_answer, item.candidate_answer):
                yield f"     {text}"


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
