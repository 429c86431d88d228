"""`freehold traces`: look at what was captured, and export it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.trace import Trace, Usage
    from freehold.workflows.data.traces import Format

SHOWN_CHARACTERS = 60


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which traces are taken for a list or a file."""
    for option in (
        click.option("--since", metavar="TIME", help="30m, 12h, 7d, or a date."),
        click.option("--model", help="Only requests for this model name."),
        click.option("--route", help="Only this route's."),
    ):
        command = option(command)
    return command


@click.group("traces")
def command() -> None:
    """Look at what was captured, and export it.

    \b
    Example:
      freehold traces list --since 1h
      freehold traces show 01a210d9
      freehold traces export traces.jsonl
      freehold traces export spans.jsonl --format otel
    """


@command.command("list")
@_filters
@click.option("--user", help="Only this user's: as the request, its metadata or x-freehold-user says.")
@click.option("--status", metavar="STATUS", help="404, 4xx, 5xx, or error: 5xx, cut off, passed over.")
@click.option("--arm", type=click.Choice(["incumbent", "candidate"]), help="Where the request was sent.")
@click.option("--upstream-id", metavar="ID", help="What the upstream calls the request, or its answer.")
@click.option(
    "--text",
    metavar="WORDS",
    help='Words of what was asked or answered, all of them: refund "order 4711" deliv*.',
)
@click.option("-n", "most", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@config_option
@json_option("freehold.types.trace:Trace[]")
def list_command(
    route: str | None,
    model: str | None,
    since: str | None,
    most: int,
    config_path: Path | None,
    as_json: bool,
    **sought: Any,
) -> None:
    """The latest traces, newest first: all, or those that meet every option.

    \b
    Example:
      freehold traces list --route support --since 1h
      freehold traces list --status error --arm candidate --since 7d
      freehold traces list --user u-4711 --text 'refund "order 88"'
      freehold traces list --upstream-id req_011CSH --json
    """
    from freehold.types.trace import TraceQuery
    from freehold.workflows.data import traces

    wanted = traces.trace_filter(route=route, model=model, since=since, now=now())
    # An empty name, as of a variable that is not set, finds nothing rather than all.
    searches = any(option is not None for option in sought.values())
    with _store(config_path, reads=True) as (store, _):
        traces.check_names(store, route=route, model=model)
        if searches:
            query = TraceQuery(route=route, model=model, since=wanted.get("since"), **sought)
            found = traces.search(store, query, most)
        else:
            found = store.latest_traces(most, **wanted)
    if as_json:
        print_json(found)
        return
    if not found:
        echo(
            "no trace matches: leave out a filter"
            if searches or route or model or since
            else "no traces: freehold up --capture patterns keeps some",
            err=True,
        )
    for trace in found:
        echo(_line(trace))


@command.command("show")
@click.argument("id")
@config_option
@json_option("freehold.types.trace:Trace")
def show(id: str, config_path: Path | None, as_json: bool) -> None:
    """One trace, by its id or the beginning of it.

    \b
    Example:
      freehold traces show 01a210d9
    """
    from freehold.workflows.data import traces

    with _store(config_path, reads=True) as (store, _):
        trace = traces.find(store, id)
        mirrored = traces.mirrored(store, trace.id)
    if as_json:
        print_json(trace)
        return
    _describe(trace)
    for one in mirrored:
        echo(f"\nmirrored  {one.id} to {one.endpoint} ({one.status}): {_answer(one)}")


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "otel"]),
    default="jsonl",
    show_default=True,
    help="jsonl: a trace a line. otel: OTLP documents with the GenAI attributes.",
)
@click.option(
    "--content", is_flag=True, help="With otel: messages and tools too; otherwise only numbers and names."
)
@_filters
@why_option
@config_option
@json_option("freehold.workflows.data.traces:TraceExport")
def export(
    file: Path,
    format_: Format,
    content: bool,
    route: str | None,
    model: str | None,
    since: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Write traces to a file.

    \b
    Example:
      freehold traces export week.jsonl --since 7d
      freehold traces export spans.jsonl --format otel --content
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data import traces

    filter = traces.trace_filter(route=route, model=model, since=since, now=now())
    with _store(config_path) as (store, _), progress() as shown:
        traces.check_names(store, route=route, model=model)
        total = store.count_traces(**filter)
        made = traces.export(
            store,
            file,
            filter,
            format=format_,
            content=content,
            who=caller(),
            say=lambda count: shown.update(count, total, unit="traces"),
        )
    if as_json:
        print_json(made)
    else:
        echo(f"{made.traces:,} traces in {made.file}")


def _line(trace: Trace) -> str:
    whole = "" if trace.completeness == "complete" else f" {trace.completeness}"
    mark = " mirrored" if trace.parent_id else ""
    ms = "–" if trace.total_ms is None else f"{trace.total_ms:.0f} ms"
    return (
        f"{trace.id}  {trace.at:%m-%d %H:%M:%S}  {trace.status}{whole}{mark}  {trace.model} → "
        f"{trace.endpoint or trace.source}  {ms}  {_answer(trace)}"
    )


def _answer(trace: Trace) -> str:
    from freehold.datasets.building import answer_of

    text = " ".join((answer_of(trace) or "–").split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


_ASKED = ("prompt_tokens", ("cached_prompt_tokens", "cached"), ("cache_write_tokens", "written to the cache"),
          ("audio_prompt_tokens", "of sound"))  # fmt: skip
_SAID = ("completion_tokens", ("reasoning_tokens", "of reasoning"), ("audio_completion_tokens", "of sound"))


def _side(usage: Usage, names: tuple[Any, ...]) -> str:
    """``2520 (2000 cached, 500 written to the cache)``."""
    whole, *parts = names
    counted = [f"{count} {said}" for name, said in parts if (count := getattr(usage, name))]
    return f"{getattr(usage, whole)}" + (f" ({', '.join(counted)})" if counted else "")


def _describe(trace: Trace) -> None:
    usage = trace.usage
    tokens = "–" if usage is None else f"{_side(usage, _ASKED)} in, {_side(usage, _SAID)} out"
    times = [
        f"{value:.1f} ms {what}"
        for value, what in ((trace.ttft_ms, "to the first byte"), (trace.total_ms, "in all"))
        if value is not None
    ]
    feedback = trace.metadata.get("feedback")
    feedback = feedback if isinstance(feedback, dict) else {}
    rows = (
        ("trace", trace.id),
        ("at", f"{trace.at:%Y-%m-%d %H:%M:%S} UTC, {trace.source}"),
        ("asked for", trace.model),
        ("route", f"{trace.route or 'none'} ({trace.decision or '–'}), {trace.arm}"),
        ("answered by", f"{trace.endpoint or '–'}, {trace.status}, {trace.completeness}"),
        ("deferral", _decided(trace)),
        ("in need", trace.fallback),
        ("finish", trace.finish_reason),
        ("tokens", tokens),
        ("time", ", ".join(times) or "–"),
        ("mirrors", trace.parent_id),
        ("right answer", trace.gold),
        ("thumb", feedback.get("thumb")),
        ("comment", feedback.get("comment")),
    )
    for title, text in rows:
        if text:
            echo(f"{title:<12} {text}")
    for message in trace.request.get("messages") or ():
        if isinstance(message, dict):
            echo(f"\n{message.get('role')}: {_text(message.get('content'))}")
    if trace.request.get("tools"):
        echo(f"\ntools: {len(trace.request['tools'])} (--json shows them)")
    echo(f"\nassistant: {_full_answer(trace)}")


def _decided(trace: Trace) -> str | None:
    made = trace.deferral
    if made is None:
        return None
    sure = "" if made.confidence is None else f", {made.confidence:.0%} sure"
    late = "" if made.decided_ms is None else f", after {made.decided_ms:.1f} ms"
    return f"{made.by}: {made.why}{sure}{late} (rule {made.rule_id[:8]})"


def _full_answer(trace: Trace) -> str:
    from freehold.datasets.building import answer_of

    return answer_of(trace) or "–"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(
            str(part.get("text") or f"<{part.get('type')}>") for part in content if isinstance(part, dict)
        )
    return str(content)


def _store(config_path: Path | None, *, reads: bool = False) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store

    return opened_store(open_project(config_path, looks=True), reads=reads)
