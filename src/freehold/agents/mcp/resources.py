"""What an agent may read besides asking: the project's file in short, its records, its reports, and the guide."""

from __future__ import annotations

from importlib import resources as packaged
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from freehold.agents.mcp.shown import document
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.agents.mcp.calling import AgentServer

SCHEME = "freehold://"
JSON, MARKDOWN = "application/json", "text/markdown"
_MOST_LISTED = 50
_TABLES = ("app", "incumbent", "use", "data", "task", "curate", "candidates", "train", "rollout", "watch")
"""Tables of `freehold.toml` that are shown; what is left out names addresses, programs and places of keys."""


class Readable(NamedTuple):
    """A resource, or a template of some: its address, a name, what it holds."""

    uri: str
    name: str
    description: str
    mime_type: str


def templates() -> list[Readable]:
    """Addresses with an id in them."""
    return [
        Readable(
            SCHEME + "reports/{id}",
            "a report",
            "Everything a migration found, by the beginning of its id or `latest`.",
            JSON,
        ),
        Readable(
            SCHEME + "datasets/{id}",
            "a dataset",
            "The manifest of an immutable dataset, by id, name or `latest`.",
            JSON,
        ),
        Readable(
            SCHEME + "records/{kind}/{id}", "a record", "Any record of the store, by its kind and id.", JSON
        ),
        Readable(
            SCHEME + "guide/{page}", "a page of the guide", "How to use freehold, a page a subject.", MARKDOWN
        ),
    ]


def resources(root: Path) -> list[Readable]:
    """What there is to read now."""
    from freehold.api.project import FreeholdProject
    from freehold.types.dataset import Dataset
    from freehold.types.report import Report
    from freehold.workflows.project_store import opened_store

    found = [
        Readable(SCHEME + "project", "the project", "What freehold.toml says.", JSON),
        Readable(SCHEME + "evaluations", "evaluations", "All evaluations side by side.", JSON),
    ]
    found += [
        Readable(f"{SCHEME}guide/{page}", page, title, MARKDOWN) for page, title in guide_pages().items()
    ]
    project = FreeholdProject.load(root, must_exist=False)
    with opened_store(project.opened, reads=True) as (store, _):
        reports = list(store.records(Report))[-_MOST_LISTED:]
        datasets = list(store.records(Dataset))[-_MOST_LISTED:]
    found += [
        Readable(f"{SCHEME}reports/{one.id}", f"report of {one.at:%Y-%m-%d %H:%M}", f"of {one.app}", JSON)
        for one in reports
    ]
    found += [
        Readable(
            f"{SCHEME}datasets/{one.id}",
            f"dataset {one.name}",
            ", ".join(f"{split.samples:,} {split.name}" for split in one.splits),
            JSON,
        )
        for one in datasets
    ]
    return found


def read_resource(agent: AgentServer, uri: str) -> tuple[str, str]:
    """Its media type and text. Raises `UsageError` for an address that leads nowhere."""
    place = uri.removeprefix(SCHEME)
    kind, _, rest = place.partition("/")
    if not uri.startswith(SCHEME) or kind not in _READERS or bool(rest) != (kind in _WITH_REST):
        raise UsageError(f"there is nothing at {uri}", hint="list the resources and their templates")
    if kind == "guide":
        return MARKDOWN, _guide(rest)
    found = document(_READERS[kind](agent, rest), with_words=agent.limits.with_words)
    return JSON, msgspec.json.encode(found).decode()


def guide_pages() -> dict[str, str]:
    """Pages of the guide by name, each with its title: the skill's own files."""
    pages = {}
    for file in sorted(_skill().joinpath("references").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".md"):
            pages[file.name.removesuffix(".md")] = file.read_text("utf-8").partition("\n")[0].lstrip("# ")
    return pages


def _skill() -> Any:
    return packaged.files("freehold.agents.skill").joinpath("freehold")


def _guide(page: str) -> str:
    if page not in guide_pages():
        raise UsageError(f"the guide has no page {page}", hint=f"its pages: {', '.join(guide_pages())}")
    text: str = _skill().joinpath("references", f"{page}.md").read_text("utf-8")
    return text


def _project(agent: AgentServer, _: str) -> Any:
    from freehold.api.project import FreeholdProject

    project = FreeholdProject.load(agent.root, must_exist=False)
    config = msgspec.to_builtins(project.config)
    return {
        "root": str(project.root),
        **{name: config[name] for name in _TABLES if config.get(name) is not None},
    }


def _evaluations(agent: AgentServer, _: str) -> Any:
    from freehold.api.project import FreeholdProject

    return list(FreeholdProject.load(agent.root, must_exist=False).evaluations())


def _report(agent: AgentServer, wanted: str) -> Any:
    from freehold.api.project import FreeholdProject

    project = FreeholdProject.load(agent.root, must_exist=False)
    return project.report(None if wanted == "latest" else wanted)


def _dataset(agent: AgentServer, wanted: str) -> Any:
    from freehold.api.project import FreeholdProject

    project = FreeholdProject.load(agent.root, must_exist=False)
    return project.dataset(None if wanted == "latest" else wanted)


def _record(agent: AgentServer, wanted: str) -> Any:
    """A record of the kinds that hold evidence; traces, which are what customers wrote, are not records."""
    from freehold.api.project import FreeholdProject
    from freehold.workflows.project_store import opened_store

    kind, _, id = wanted.partition("/")
    kinds = _kinds()
    if kind not in kinds:
        raise UsageError(f"there are no records of the kind {kind}", hint=f"kinds: {', '.join(kinds)}")
    project = FreeholdProject.load(agent.root, must_exist=False)
    with opened_store(project.opened, reads=True) as (store, _):
        found = store.get(kinds[kind], id)
    if found is None:
        raise UsageError(f"there is no {kind} {id}")
    return found


def _kinds() -> dict[str, Any]:
    from freehold.types.dataset import Dataset
    from freehold.types.evaluated import Evaluation, Freeze
    from freehold.types.evaluation import Comparison
    from freehold.types.machine import Fit
    from freehold.types.mixture import Mixture
    from freehold.types.parity import ParityReport
    from freehold.types.report import Report
    from freehold.types.ruling import Ruling
    from freehold.types.serving.rollout import Check, Rollout
    from freehold.types.verdict import Verdict

    evidence = (
        Ruling, Fit, Dataset, Freeze, Evaluation, Comparison, ParityReport, Mixture, Verdict, Report, Rollout, Check,
    )  # fmt: skip
    return {one.kind: one for one in evidence}


_READERS: dict[str, Any] = {
    "project": _project,
    "evaluations": _evaluations,
    "reports": _report,
    "datasets": _dataset,
    "records": _record,
    "guide": None,
}
_WITH_REST = {"reports", "datasets", "records", "guide"}
