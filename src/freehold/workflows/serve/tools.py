"""Requests that demand a tool call, and models that an engine would let answer them in plain text.

llama.cpp passes over a demand (`tool_choice`) where the model's chat template knows no tools, without an error (seen of
2026-10). A template knows tools when it reads the variable of that name, which is told from its text: it is never run.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec

from freehold.catalog import models
from freehold.datasets import building
from freehold.errors import FreeholdError
from freehold.hardware.gguf_header import read_header
from freehold.settings import Settings
from freehold.store import open_store
from freehold.types.dataset import Dataset, Sample, demands_a_call
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineName
from freehold.types.model import Weights
from freehold.workflows.project import Project
from freehold.workflows.weights.pull import show_weights

WAYS_OUT = (
    "leave these requests out by [[data.match]], train the model (an adapter brings a template that writes calls), or "
    "name one whose chat template has tools"
)
_TEMPLATE = "tokenizer.chat_template"
_LOOKED_AT = 2000


def knows_tools(template: str) -> bool | None:
    """Whether a chat template reads the tools of a request; None for one that is not Jinja as it is known here."""
    from jinja2 import TemplateSyntaxError, meta  # late: few commands need it
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        return "tools" in meta.find_undeclared_variables(environment.parse(template))
    except (TemplateSyntaxError, RecursionError):
        return None


def demanding(samples: Iterable[Sample]) -> tuple[int, int]:
    """How many samples demand a tool call, and how many samples there are."""
    found = total = 0
    for sample in samples:
        total += 1
        found += bool(sample.tools) and sample.asking is not None and sample.asking.demands_a_call
    return found, total


def unmet(plan: ServePlan, samples: Iterable[Sample]) -> str | None:
    """That a plan's model cannot be made to call the tools that some requests demand; None where it can, where none do,
    or where nothing is known of its template."""
    if not plan.engine_kind.ignores_tools_unsaid or (template := template_of(plan)) is None:
        return None
    if knows_tools(template) is not False:
        return None
    return _told(plan.served_name, plan.engine_kind.title, *demanding(samples))


def unmet_at(endpoint: Endpoint, model: str, samples: Iterable[Sample]) -> str | None:
    """The same of an endpoint that answers already, by what it says it can do."""
    if not endpoint.engine_kind.ignores_tools_unsaid or endpoint.capabilities.tools:
        return None
    return _told(model, endpoint.engine_kind.title, *demanding(samples))


def unmet_in_project(project: Project, plan: ServePlan) -> str | None:
    """The same for the newest dataset of a project, by the first of its held-out samples; None without one."""
    try:
        with open_store(project.reading_url) as store:
            dataset = store.latest(Dataset)
        if dataset is None:
            return None
        return unmet(plan, islice(building.samples(dataset, "held_out"), _LOOKED_AT))
    except (FreeholdError, OSError):
        return None  # it was asked in passing: what is wrong with the dataset is told where it is used


def unmet_of_model(project: Project, model: str, engine: EngineName) -> str | None:
    """The same before there is a plan: of a model by its id or path, for the newest dataset's held-out samples, or
    where none was built yet for the newest traces. None where nothing is known of its template, or of traffic."""
    kind = ENGINE_KINDS[engine]
    if not kind.ignores_tools_unsaid:
        return None
    try:
        found, total = _demanded(project)
        if not found or model_knows_tools(model, project.settings) is not False:
            return None
    except (FreeholdError, OSError):
        return None  # it was asked in passing, as `unmet_in_project` is
    return _told(model, kind.title, found, total)


def _demanded(project: Project) -> tuple[int, int]:
    with open_store(project.reading_url) as store:
        dataset = store.latest(Dataset)
        if dataset is None:
            requests = [trace.request for trace in store.latest_traces(_LOOKED_AT) if trace.parent_id is None]
            return sum(map(demands_a_call, requests)), len(requests)
    return demanding(islice(building.samples(dataset, "held_out"), _LOOKED_AT))


def model_knows_tools(model: str, settings: Settings) -> bool | None:
    """Whether a model's chat template reads tools: by its weights where they are here, else by the catalog; None where
    neither knows. Nothing is fetched."""
    try:
        weights = weights_here(model, settings)
    except (FreeholdError, OSError, msgspec.DecodeError):
        weights = None
    template = None if weights is None else weights.chat_template
    if template is None and weights is not None and weights.path is not None and weights.format == "gguf":
        template = template_in(Path(weights.path))
    if template is not None:
        return knows_tools(template)
    known = models.find(model)
    return None if known is None else known.tools


def weights_here(model: str, settings: Settings) -> Weights | None:
    """The weights of a model that are on this machine; None where they are not. Raises what `show_weights` raises."""
    path = Path(model)
    if path.suffix == ".gguf" and path.is_file():
        return Weights(
            model_id=model, format="gguf", quantization="", bytes=0, sha256="", source="", path=str(path)
        )
    return show_weights(model, settings).weights


def template_of(plan: ServePlan) -> str | None:
    """The chat template a plan is served with; None where that is not known before it runs."""
    given = plan.options.get("chat_template")
    if isinstance(given, str):
        return given
    if plan.weights_path is None or not plan.weights_path.endswith(".gguf"):
        return None
    return template_in(Path(plan.weights_path))


def template_in(weights: Path) -> str | None:
    """The chat template that a GGUF file carries; None where it has none or cannot be read."""
    try:
        found = read_header(weights).metadata.get(_TEMPLATE)
    except (FreeholdError, OSError):
        return None
    return found if isinstance(found, str) else None


def _told(model: str, engine: str, found: int, total: int) -> str | None:
    if not found:
        return None
    return (
        f"{found:,} of {total:,} requests demand a tool call (tool_choice), and the chat template of {model} knows no "
        f"tools: {engine} would answer them in plain text"
    )
