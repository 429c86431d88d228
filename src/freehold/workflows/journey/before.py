"""What a journey looks at before its first step, and before it pays. Nothing is fetched.

What stands in a candidate's way comes in the order in which it would stop: its licence and the terms of what it learns
from, its weights, the room they take, its chat template.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import msgspec

from freehold.datasets import building
from freehold.errors import FreeholdError
from freehold.hardware.gguf_header import read_header
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.stats.looks import LookPlan
from freehold.store import Store
from freehold.training.encoder.answers import untaught
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.encoder import WORDS_MODEL
from freehold.types.finding import Finding, Preflight, fail, ok, warn
from freehold.types.license import BARRED, Ruling
from freehold.types.machine import Fit, Machine
from freehold.types.method import METHOD_KINDS
from freehold.types.model import Weights
from freehold.types.report import CandidateReport, Report
from freehold.types.use import UseProfile
from freehold.visible import gib
from freehold.workflows.fit.machine import with_rates
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.methods.method import (
    Candidate,
    behind,
    endpoint_of,
    fetches,
    lineage_behind,
)
from freehold.workflows.journey.methods.training import served_fit
from freehold.workflows.journey.proposals import stand_in
from freehold.workflows.journey.step_costs import cost_findings
from freehold.workflows.journey.suits import TaskFacts, Unsuited, suit_findings
from freehold.workflows.license.rule import rule_for_model, where_it_stands
from freehold.workflows.project import Project
from freehold.workflows.prove.preflight import AskedEndpoint, PreflightRequest, preflight, scorer_addresses
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve.plan import ServeRequest
from freehold.workflows.serve.tools import WAYS_OUT, demanding, model_knows_tools, weights_here
from freehold.workflows.train.train import least_room
from freehold.workflows.weights.pull import why_not_here

LICENSE, WEIGHTS, FIT = "licence", "weights", "fit"


def candidate_findings(
    project: Project, dataset: Dataset, known: Sequence[Candidate], machine: Machine
) -> Iterator[Finding]:
    """All of them."""
    found = [
        *license_findings(dataset, known, project.config.use),
        *_weights_findings(project, dataset, known),
        *_fit_findings(project, known, machine),
    ]
    return of_all(found, known)


def of_all(found: Sequence[tuple[Candidate, Finding]], known: Sequence[Candidate]) -> Iterator[Finding]:
    """Findings as they count for the journey: what ends a candidate is a warning while another is left."""
    ended = {one.key for one, finding in found if finding.outcome == "fail"}
    another = any(one.key not in ended for one in known)
    for _, finding in found:
        is_less = another and finding.outcome == "fail"
        yield msgspec.structs.replace(finding, outcome="warn") if is_less else finding


def license_findings(
    dataset: Dataset, known: Sequence[Candidate], use: UseProfile
) -> Iterator[tuple[Candidate, Finding]]:
    """The ruling on each candidate as it would be made, the terms of the answers it would learn from included."""
    for one in known:
        ruling = rule_for_model(one.model, use, lineage=lineage_behind(one, dataset))
        said = f"{one.label}: {ruling.outcome.replace('_', ' ')}"
        if ruling.outcome in BARRED:
            text = f"{said}, so it would not be made: {deciding(ruling)}"
            yield one, fail(LICENSE, text, way_out(ruling))
        elif ruling.outcome == "unclear":
            text = f"{said}, so the verdict on it would be hold: {deciding(ruling)}"
            yield one, warn(LICENSE, text, way_out(ruling))
        else:
            yield one, ok(LICENSE, said)


def deciding(ruling: Ruling) -> str:
    """What the outcome rests on."""
    first = next((one for one in ruling.reasons if one.outcome is not None), None)
    if first is None:
        return "; ".join(ruling.details.get("violation_texts", ruling.violations))
    return f"{first.text} ({where_it_stands(ruling)})"


def way_out(ruling: Ruling) -> str:
    """What would decide it otherwise."""
    return (
        "; or ".join(ruling.ways_out)
        or f"another model: freehold assess; why: freehold license {ruling.model}"
    )


def _weights_findings(
    project: Project, dataset: Dataset, known: Sequence[Candidate]
) -> Iterator[tuple[Candidate, Finding]]:
    """Candidates whose weights cannot be had, each with the first that can stand in its place."""
    for one in known:
        if fetches(one, project.config) and (why := why_not_here(one.model, project.settings)) is not None:
            instead = stand_in(project, dataset, one.method)
            fix = f'model = "{instead}" can stand in its place (freehold models pull {instead})'
            yield one, fail(WEIGHTS, f"{one.label}: its weights cannot be had: {why}", fix)


def _fit_findings(
    project: Project, known: Sequence[Candidate], machine: Machine
) -> Iterator[tuple[Candidate, Finding]]:
    """The memory that each takes here to be served, and to be trained at least. Of weights that are not here it is an
    estimate, which ends no candidate."""
    config, settings = project.config, project.settings
    for one in known:
        if one.model == WORDS_MODEL or not fetches(one, config):
            continue
        try:
            tell = warn if weights_here(one.model, settings) is None else fail
            fit = served_fit(one.model, config.serve, machine, settings)
            said = f"{one.label}: serving it takes {gib(fit.total_bytes, 2)} of {gib(fit.available_bytes, 1)}"
            yield one, ok(FIT, said) if fit.fits else tell(FIT, said, _smaller(one, fit))
            kind = METHOD_KINDS[one.method]
            if kind.trains and not kind.closed_set_only:
                least, fit = least_room(one.training(config), one.model, settings, machine=machine)
                said = f"{one.label}: training it takes {gib(least, 2)} of {gib(fit.available_bytes, 1)} at least"
                has_room = least <= fit.available_bytes
                yield one, ok(FIT, said) if has_room else tell(FIT, said, _smaller(one, fit))
        except FreeholdError:
            continue  # too little is known of it before it is here


def _smaller(one: Candidate, fit: Fit) -> str:
    return "; or ".join(fit.ways_out) or f"a smaller model: freehold fit {one.model} says what takes the room"


TEMPLATE = "template"
TOOLS = "tools"
_GGUF_KEY = "tokenizer.chat_template"


def template_findings(model: str, settings: Settings) -> Iterator[Finding]:
    """Whether `model` can be put a conversation. Weights that are not here yet are not judged."""
    try:
        weights = weights_here(model, settings)
        found = weights is None or _has_template(weights)
    except (FreeholdError, OSError, msgspec.DecodeError):
        return  # not here, or unreadable: fetching and loading say it better
    if found:
        yield ok(
            TEMPLATE,
            f"{model}: a chat template is there" if weights else f"{model}: not here yet, not looked at",
        )
    else:
        yield fail(
            TEMPLATE,
            f"{model}: its weights carry no chat template, so no conversation can be written for it",
            "use an instruction-tuned base, or one whose files carry a chat template",
        )


def tool_findings(model: str, settings: Settings, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Whether a model that is served as it is, by llama.cpp, can be made to call the tools that requests demand: by its
    weights where they are here, else by the catalog. Nothing is said where neither knows."""
    found, total = demanding(samples)
    if not found:
        return
    if model_knows_tools(model, settings) is False:
        yield fail(
            TOOLS,
            f"{model}: {found:,} of {total:,} held-out requests demand a tool call, and its chat template knows no "
            "tools",
            WAYS_OUT,
        )


def _has_template(weights: Weights) -> bool:
    if weights.chat_template is not None or weights.path is None:
        return True
    path = Path(weights.path)
    if weights.format == "gguf":
        return isinstance(read_header(path).metadata.get(_GGUF_KEY), str)
    folder = path if path.is_dir() else path.parent
    if (folder / "chat_template.jinja").is_file():
        return True
    written = folder / "tokenizer_config.json"
    return not written.is_file() or "chat_template" in msgspec.json.decode(written.read_bytes())


_SHOWN = 5


def look_first(
    project: Project,
    dataset: Dataset,
    store: Store,
    known: tuple[Candidate, ...],
    *,
    freezes: bool = False,
    looks: bool = True,
) -> Preflight:
    """What speaks against migrating these candidates with this dataset. With `freezes` the incumbent's answers will be
    paid for first, so its endpoint is looked at as well. Without `looks` it is not asked whether the items were
    evaluated before."""
    config, task = project.config, task_of(project)
    writers = [one for one in known if _learns_to_write(one)]
    addresses = _remote(config, known)
    incumbent = config.incumbent
    if freezes and incumbent is not None and incumbent.base_url is not None and incumbent.api == "openai":
        addresses.append(
            AskedEndpoint(
                "the incumbent",
                incumbent.base_url,
                incumbent.model,
                incumbent.api_key_env,
                credentials=incumbent.credentials,
            )
        )
    facts = TaskFacts(config, dataset)
    more: list[Finding] = list(suit_findings(known, facts))
    machine = with_rates(probe_machine(project.state, measure=True))
    more += candidate_findings(project, dataset, known, machine)
    more += cost_findings(project, dataset, known, machine, freezes=freezes)
    for one in writers:
        more += template_findings(one.model, project.settings)
    held_out = list(building.samples(dataset, "held_out"))
    if task.scorer != "label" and any(METHOD_KINDS[one.method].closed_set_only for one in known):
        more += _untaught_findings(facts, held_out)
    if config.engine.ignores_tools_unsaid:
        for one in known:
            if not METHOD_KINDS[one.method].trains and fetches(one, config):
                more += tool_findings(one.model, project.settings, held_out)
    request = PreflightRequest(
        dataset=dataset,
        task=task,
        held_out=held_out,
        config=config,
        frozen=frozen_answers(project, dataset),
        looks=LookPlan(config.task.looks, grows=True),
        trains=bool(writers),
        teaches=any(METHOD_KINDS[one.method].trains for one in known),
        freezes=freezes,
        addresses=tuple(addresses),
        store=store if looks else None,
    )

    async def work() -> Preflight:
        return await preflight(request, more=more)

    return anyio.run(work)


def _untaught_findings(facts: TaskFacts, held_out: Sequence[Sample]) -> Iterator[Finding]:
    """Values of the held-out part that no training sample has, and an encoder so never answers."""
    if isinstance(facts.taught, Unsuited):
        return
    missing = untaught(facts.taught.form, [one.target or "" for one in held_out])
    if missing:
        shown = ", ".join(f"{value} ({count:,})" for value, count in list(missing.items())[:_SHOWN])
        yield warn(
            "labels",
            f"{len(missing):,} values of the held-out part are never taught: {shown}; an item with one is lost",
            "add training samples of those values, or expect these items to be lost",
        )


def _learns_to_write(candidate: Candidate) -> bool:
    """Whether it is taught by chat templates; an encoder reads the message alone."""
    kind = METHOD_KINDS[candidate.method]
    return kind.trains and not kind.closed_set_only


def rented_addresses(project: Project) -> list[AskedEndpoint]:
    """Whom a journey asks that freehold does not serve itself, as far as `freehold.toml` says it: candidates behind an
    endpoint, the model that scores.

    Raises `UsageError` for one that cannot be asked.
    """
    config, task = project.config, task_of(project)
    return [*_remote(config, candidates(config)), *scorer_addresses(task)]


def _remote(config: ProjectConfig, known: Sequence[Candidate]) -> list[AskedEndpoint]:
    """Where candidates are asked that are served elsewhere."""
    found = []
    for one in known:
        if one.endpoint is not None:
            options = behind(ServeRequest(), endpoint_of(config, one.endpoint)).options
        elif config.serve.engine == "remote" and METHOD_KINDS[one.method].asks_elsewhere:
            options = config.serve.options
        else:
            continue
        url, key = options.get("base_url"), options.get("api_key_env")
        if not isinstance(url, str) or options.get("api", "openai") != "openai":
            continue
        named = str(options.get("upstream_name") or one.model)
        found.append(
            AskedEndpoint(f"the candidate {one.short_name}", url, named, None if key is None else str(key))
        )
    return found


def reported(store: Store, project: Project, dataset: Dataset, known: tuple[Candidate, ...]) -> bool:
    """Whether the last report is of this very journey: the same again adds no look."""
    last = store.latest(Report)
    if last is None:
        return False
    reported_ones = [_identity(one) for one in last.candidates]
    return (
        last.dataset.id == dataset.id
        and last.task == task_of(project)
        and reported_ones == [_identity(one) for one in known]
    )


def _identity(one: CandidateReport | Candidate) -> tuple[str, str | None, str | None, str | None]:
    return one.model, one.method, one.endpoint, one.name
