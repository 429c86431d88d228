"""`freehold traces`: look at what was captured, and export it; `freehold forget`: one person's words leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.cli.operation import BAR, YES, Reply, arg, group, opened, operation, opt
from freehold.cli.options import agree, caller, now
from freehold.cli.output import Aside, Block, show
from freehold.cli.progress import progress
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.trace import Trace, Usage
    from freehold.workflows.data.forget import ForgetReceipt
    from freehold.workflows.data.traces import Format
    from freehold.workflows.project import Project

SHOWN_CHARACTERS = 60
SINCE = opt("30m, 12h, 7d, or a date.", metavar="TIME")
MODEL = opt("Only requests for this model name.")
ROUTE = opt("Only this route's.")


@group("traces")
def traces() -> None:
    """Look at what was captured, and export it.

    \b
    Example:
      freehold traces list --since 1h
      freehold traces show 01a210d9
      freehold traces export traces.jsonl
      freehold traces export spans.jsonl --format otel
    """


@operation("list", "freehold.types.trace:Trace[]", within=traces)
def list_command(
    *,
    route: str | None = ROUTE,
    model: str | None = MODEL,
    since: str | None = SINCE,
    user: str | None = opt("Only this user's: as the request, its metadata or x-freehold-user says."),
    status: str | None = opt("404, 4xx, 5xx, or error: 5xx, cut off, passed over.", metavar="STATUS"),
    arm: str | None = opt("Where the request was sent.", choices=["incumbent", "candidate"]),
    upstream_id: str | None = opt("What the upstream calls the request, or its answer.", metavar="ID"),
    text: str | None = opt(
        'Words of what was asked or answered, all of them: refund "order 4711" deliv*.', metavar="WORDS"
    ),
    most: int = opt("How many.", "-n", 20, ge=1),
    project: Project = opened(looks=True),
) -> Reply:
    """The latest traces, newest first: all, or those that meet every option.

    \b
    Example:
      freehold traces list --route support --since 1h
      freehold traces list --status error --arm candidate --since 7d
      freehold traces list --user u-4711 --text 'refund "order 88"'
      freehold traces list --upstream-id req_011CSH --json
    """
    from freehold.types.trace import TraceQuery
    from freehold.workflows.data import traces as workflow
    from freehold.workflows.project_store import opened_store

    wanted = workflow.trace_filter(route=route, model=model, since=since, now=now())
    sought: dict[str, Any] = {
        "user": user,
        "status": status,
        "arm": arm,
        "upstream_id": upstream_id,
        "text": text,
    }
    # An empty name, as of a variable that is not set, finds nothing rather than all.
    searches = any(option is not None for option in sought.values())
    with opened_store(project, reads=True) as (store, _):
        workflow.check_names(store, route=route, model=model)
        if searches:
            query = TraceQuery(route=route, model=model, since=wanted.get("since"), **sought)
            found = workflow.search(store, query, most)
        else:
            found = store.latest_traces(most, **wanted)
    why_none = "no traces: freehold up --capture patterns keeps some"
    if searches or route or model or since:
        why_none = "no trace matches: leave out a filter"
    return Reply(found, lambda found: map(_line, found) if found else [Aside(why_none)])


@operation("show", "freehold.types.trace:Trace", within=traces)
def show_command(id: str = arg(), *, project: Project = opened(looks=True)) -> Reply:
    """One trace, by its id or the beginning of it.

    \b
    Example:
      freehold traces show 01a210d9
    """
    from freehold.workflows.data import traces as workflow
    from freehold.workflows.project_store import opened_store

    with opened_store(project, reads=True) as (store, _):
        trace = workflow.find(store, id)
        mirrored = workflow.mirrored(store, trace.id)
    return Reply(trace, lambda _: _describe(trace, mirrored))


@operation("export", "freehold.workflows.data.traces:TraceExport", within=traces, why=True)
def export(
    file: Path = arg(dir_okay=False),
    *,
    format_: Format = opt(
        "jsonl: a trace a line. otel: OTLP documents with the GenAI attributes.",
        "--format",
        "jsonl",
        choices=["jsonl", "otel"],
    ),
    content: bool = opt("With otel: messages and tools too; otherwise only numbers and names."),
    route: str | None = ROUTE,
    model: str | None = MODEL,
    since: str | None = SINCE,
    project: Project = opened(looks=True),
    bar: Progress = BAR,
) -> Reply:
    """Write traces to a file.

    \b
    Example:
      freehold traces export week.jsonl --since 7d
      freehold traces export spans.jsonl --format otel --content
    """
    from freehold.workflows.data import traces as workflow
    from freehold.workflows.project_store import opened_store

    filter = workflow.trace_filter(route=route, model=model, since=since, now=now())
    with opened_store(project) as (store, _):
        workflow.check_names(store, route=route, model=model)
        total = store.count_traces(**filter)
        made = workflow.export(
            store,
            file,
            filter,
            format=format_,
            content=content,
            who=caller(),
            say=lambda count: bar.update(count, total, unit="traces"),
        )
    return Reply(made, lambda made: [f"{made.traces:,} traces in {made.file}"])


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


def _describe(trace: Trace, mirrored: Sequence[Trace]) -> Iterator[Block]:
    from freehold.datasets.building import answer_of

    usage = trace.usage
    feedback = trace.metadata.get("feedback")
    feedback = feedback if isinstance(feedback, dict) else {}
    times = ((trace.ttft_ms, "to the first byte"), (trace.total_ms, "in all"))
    yield "trace", trace.id
    yield "at", f"{trace.at:%Y-%m-%d %H:%M:%S} UTC, {trace.source}"
    yield "asked for", trace.model
    yield "route", f"{trace.route or 'none'} ({trace.decision or '–'}), {trace.arm}"
    yield "answered by", f"{trace.endpoint or '–'}, {trace.status}, {trace.completeness}"
    yield "deferral", _decided(trace)
    yield "in need", trace.fallback
    yield "finish", trace.finish_reason
    yield "tokens", "–" if usage is None else f"{_side(usage, _ASKED)} in, {_side(usage, _SAID)} out"
    yield "time", ", ".join(f"{value:.1f} ms {what}" for value, what in times if value is not None) or "–"
    yield "mirrors", trace.parent_id
    yield "right answer", trace.gold
    yield "thumb", feedback.get("thumb")
    yield "comment", feedback.get("comment")
    for message in trace.request.get("messages") or ():
        if isinstance(message, dict):
            yield f"\n{message.get('role')}: {_text(message.get('content'))}"
    if trace.request.get("tools"):
        yield f"\ntools: {len(trace.request['tools'])} (--json shows them)"
    yield f"\nassistant: {answer_of(trace) or '–'}"
    for one in mirrored:
        yield f"\nmirrored  {one.id} to {one.endpoint} ({one.status}): {_answer(one)}"


def _decided(trace: Trace) -> str | None:
    made = trace.deferral
    if made is None:
        return None
    sure = "" if made.confidence is None else f", {made.confidence:.0%} sure"
    late = "" if made.decided_ms is None else f", after {made.decided_ms:.1f} ms"
    return f"{made.by}: {made.why}{sure}{late} (rule {made.rule_id[:8]})"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(
            str(part.get("text") or f"<{part.get('type')}>") for part in content if isinstance(part, dict)
        )
    return str(content)


@operation("forget", "freehold.workflows.data.forget:ForgetReceipt", why=True)
def forget(
    *,
    user: str | None = opt("All of one user: as the request, its metadata or x-freehold-user names it."),
    trace: str | None = opt(
        "One trace, by the beginning of its id, and what was mirrored from it.", metavar="ID"
    ),
    conversation: str | None = opt("All of one conversation.", metavar="ID"),
    source: str | None = opt("All of an imported file or folder, or of the gateway.", metavar="FILE"),
    older_than: str | None = opt("All before: 90d, 12h, or a date.", metavar="TIME"),
    dry_run: bool = opt("Say what would go; change nothing."),
    yes: bool = YES,
    project: Project = opened(looks=True),
) -> Reply:
    """Delete the traces of a person, a file or a time and what was made from them; keep a receipt without their data.

    Covers the store with its backups, datasets, evaluations, labels, reports, caches, rejects and logs in the project's
    folders. A gateway may run. What has learned from it cannot unlearn: it is named.

    \b
    Example:
      freehold forget --user u-4711 --dry-run
      freehold forget --user u-4711
      freehold forget --source data/rows.csv
      freehold forget --older-than 90d --yes
    """
    given = [value for value in (user, trace, conversation, source, older_than) if value]
    if len(given) != 1:
        raise UsageError(
            "say what to forget, in one way",
            hint="freehold forget --user X, --trace ID, --conversation ID, --source FILE or --older-than TIME",
        )
    from freehold.store import open_store
    from freehold.types.audit import change_why
    from freehold.workflows.data import traces as workflow
    from freehold.workflows.data.forget import Whom
    from freehold.workflows.data.forget import forget as work

    named = user or conversation
    if named and named.casefold() in change_why.get().casefold():
        raise UsageError(
            f"--why names the {'user' if user else 'conversation'} that is to be forgotten, and is kept for ever",
            hint="give a reason without it: the number of the request, say",
        )
    before = None if older_than is None else workflow.moment(older_than, now())
    if trace is not None:
        with open_store(project.store_url) as store:
            if store.find_traces(trace):  # what is gone from the store may stand in files
                trace = workflow.find(store, trace).id
    whom = Whom(user=user, trace=trace, conversation=conversation, source=source, before=before)
    if not dry_run and not yes:
        with progress() as bar:
            would = work(project, whom, who=caller(), at=now(), dry_run=True, progress=bar)
        show(map(Aside, _receipt(would, "would go")))
        agree("delete this? It cannot be undone")
    with progress() as bar:
        made = work(project, whom, who=caller(), at=now(), dry_run=dry_run, progress=bar)
    return Reply(made, partial(_receipt, done="would go" if dry_run else "deleted"))


def _receipt(made: ForgetReceipt, done: str) -> Iterator[str]:
    counts = {"traces": made.traces, **made.records}
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no rows"
    kept = ", ".join(f"{count:,} {name}" for name, count in made.files.items()) or "none"
    yield f"{done}: {rows}; files: {kept}"
    for note in made.notes:
        yield f"  {note}"
