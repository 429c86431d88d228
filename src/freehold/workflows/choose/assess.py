"""`freehold assess`: licence, machine, needs and money joined into one ranked table with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import models as catalog
from freehold.costs import decision
from freehold.costs.decision import self_host
from freehold.errors import UsageError
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import Build
from freehold.hardware.tensors import active_parameter_count, parameter_count
from freehold.settings import Settings
from freehold.store import open_store
from freehold.types.choosing import Assessment, CandidateOutcome, CandidateRow, ModelLimits, Needs
from freehold.types.cost import Advice, Traffic
from freehold.types.evaluation import Comparison
from freehold.types.license import BARRED, Ruling
from freehold.types.machine import Machine, MeasuredSpeed, Speed, Workload
from freehold.types.mixture import Mixture
from freehold.types.model import Model
from freehold.types.record import content_id
from freehold.types.verdict import Verdict
from freehold.visible import GIB, gib
from freehold.workflows.choose.cost import (
    ANSWER_SECONDS,
    LOOKED_UP,
    MachineSpeeds,
    known_costs,
    priced_machine,
    written_by,
)
from freehold.workflows.choose.needs import is_doubtful, needs_in, speed_reasons
from freehold.workflows.choose.needs import seconds as seconds_of
from freehold.workflows.choose.ranking import (
    LEAST,
    MOST_SECONDS,
    RANKED_BY,
    MeasuredHere,
    effective_size,
    is_coder,
    measured_of,
    ranked,
    thinks_first,
)
from freehold.workflows.fit.encoder import fit_of_base
from freehold.workflows.fit.learned import all_measured, narrowed
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.placing import Placed, ServingForm, place, served_as, sized_in, trained
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import Project


class CostAdvice(NamedTuple):
    """Advice with its sentence; without advice the sentence says what is missing."""

    advice: Advice | None
    sentence: str
    bill: Decimal | None = None


def _batched(row: CandidateRow, machine: Machine, traffic: Traffic, settings: Settings) -> Speed:
    """The row's speed; an estimate is made again for a full batch, as traffic that fills a machine would run."""
    assert row.speed is not None
    if row.speed.how == "measured" or row.quantization is None:
        return row.speed
    form = ServingForm("vllm" if row.engine == "vllm" else "llamacpp", row.quantization)
    sized = sized_in(row.model, form, settings)
    return MachineSpeeds(sized, traffic, machine, settings, form.engine).within(ANSWER_SECONDS).speed


def with_costs(
    project: Project, rows: list[CandidateRow], machine: Machine
) -> tuple[list[CandidateRow], CostAdvice]:
    """Rows with dollars a month where they can be known, and the advice for the first of the shortlist.

    Nothing is guessed: without traffic, a price of the incumbent or a price of the machine the column stays empty
    and the sentence says which of them is missing.
    """
    known = known_costs(project)
    paid = None if known.priced is None else known.priced.bill.usd_per_month.low
    try:
        price = priced_machine(machine, LOOKED_UP).price
    except UsageError as error:
        known = known._replace(missing=known.missing or error)
    if known.priced is None or known.missing is not None:
        missing = "" if known.missing is None else known.missing.message
        said = f"Cost does not decide yet whether to leave: {missing}; freehold cost takes stated figures"
        return rows, CostAdvice(None, f"{known.sentence or ''} {said}".strip(), paid)
    traffic = known.priced.traffic
    costed, first = [], None
    for row in rows:
        if row.outcome == "excluded" or row.speed is None:
            costed.append(row)
            continue
        held = written_by(row.model, traffic, None)
        found = self_host(
            row.model, machine.name, held, _batched(row, machine, held, project.settings), price
        )
        costed.append(
            msgspec.structs.replace(row, usd_per_month=(found.usd_per_month.low, found.usd_per_month.high))
        )
        if first is None and row.outcome == "shortlisted":
            if row.quantization is not None:
                found = msgspec.structs.replace(found, served_as=served_as(row.quantization, row.engine))
            first = decision.decide(traffic, known.priced.bill, found, after=known.priced.after)
    if first is None:
        return costed, CostAdvice(
            None, "cost does not decide whether to leave: no model is left whose speed is known", paid
        )
    return costed, CostAdvice(first.advice, first.sentence, paid)


LEAST_HOST_BYTES = 8 * GIB
"""Taken for the memory of a machine of which only the accelerators are named."""
NO_LIMITS = ModelLimits()
YARN = (
    "; longer only with its positions scaled (YaRN), which engines must be told and which is not counted here"
)


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What all models are held against."""

    project: Project
    machine: Machine
    needs: Needs
    workload: Workload
    limits: ModelLimits
    build: Build


def assess(
    project: Project,
    *,
    machine_spec: str | None = None,
    stated: Needs | None = None,
    models: tuple[str, ...] = (),
    limits: ModelLimits = NO_LIMITS,
) -> Assessment:
    """Rank the catalog (or `models`) for this project's task, use, traffic and machine.

    `stated` needs are joined with what the traces show, and a stated task stands above what project and traffic tell.
    A model is excluded by its licence, by memory, by context, by a capability it lacks, by `limits`; each exclusion has
    its reason. Nothing is downloaded. Raises `UnknownModelError` for an id in `models` that is not in the catalog.
    """
    machine = find_machine(machine_spec, project.settings, measure=machine_spec is None)
    needs = needs_in(project, stated)
    asked = _Asked(
        project=project,
        machine=machine,
        needs=needs,
        workload=Workload(context_tokens=needs.context_tokens, concurrency=needs.concurrency),
        limits=limits,
        build=engine_build(project.settings),
    )
    # What an encoder is good for no leaderboard says: it stands here where answers are from a closed set.
    known = catalog.all_models()
    chosen = [catalog.get(name) for name in models] if models else [one for one in known if not one.encoder]
    encoders = [one for one in known if one.encoder] if needs.task == "labels" and not models else []
    scores = _scores(project)
    speeds = _measured(project, machine) if machine_spec is None else {}
    rows = [
        *(_encoder_row(model, asked, scores.get(model.id.lower())) for model in encoders),
        *(_row(model, asked, scores.get(model.id.lower()), speeds) for model in chosen),
    ]
    ordered, told = with_costs(project, ranked(rows, needs.task, machine), machine)
    made = Assessment(
        id="",
        machine=machine.name,
        workload=asked.workload,
        needs=needs,
        rows=tuple(ordered),
        ranked_by=RANKED_BY,
        limits=limits,
        advice=told.advice,
        money=told.sentence,
        usd_per_month_now=told.bill,
        assumptions=tuple(_assumptions(needs)),
        version=__version__,
    )
    return msgspec.structs.replace(made, id=content_id(made))


def _assumptions(needs: Needs) -> Iterator[str]:
    yield from needs.how
    if needs.json_schema:
        yield "answers in a JSON schema are enforced by the engine, whatever the model"
    yield "speed is estimated unless measured"
    yield f"by prior, what takes over {MOST_SECONDS} s for a request stands behind what is faster"
    yield "quantizations below four bits are left out: measure them first"


def _measured(project: Project, machine: Machine) -> dict[str, MeasuredSpeed]:
    """Measured speeds on this machine by model, the newest each."""
    return {one.model.lower(): one for one in all_measured(project) if one.machine == machine.name}


def _scores(project: Project) -> dict[str, MeasuredHere]:
    with open_store(project.reading_url) as store:
        return measured_of(store.records(Comparison), store.records(Verdict), store.records(Mixture))


LONGEST_SECONDS = 60
"""For one request: proxies give up then (nginx, `proxy_read_timeout`), and so do most who wait."""


def _row(
    model: Model, asked: _Asked, score: MeasuredHere | None, speeds: dict[str, MeasuredSpeed]
) -> CandidateRow:
    measured = speeds.get(model.id.lower())
    ruling = rule_for_model(model.id, asked.project.config.use)
    placed = place(model, asked.workload, asked.machine, asked.build, asked.project.settings)
    fits = placed.fit.headroom_bytes >= 0
    speed = measured.speed if measured is not None and fits else placed.speed
    if measured is None and speed is not None and placed.engine == "llamacpp":
        held = weights_bytes(model.shape, placed.quantization)
        speed = narrowed(speed, (placed.quantization, held), speeds.values(), asked.machine, asked.build)
    against = [
        *_license_reasons(ruling),
        *_need_reasons(model, asked.needs),
        *(_size_reasons(model, asked.needs) if score is None else ()),
        *_fit_reasons(placed, asked.workload),
        *speed_reasons(speed, asked.needs, asked.limits),
    ]
    way = None
    if asked.limits.trainable and not any(hard for hard, _ in against):
        way = _training(model, asked)
        against += way.against
    seconds = seconds_of(speed, asked.needs, 1)
    notes = [score.said] if score is not None else []
    if seconds is not None and seconds > MOST_SECONDS:
        too_long = seconds > LONGEST_SECONDS and score is None  # what was measured here has shown its use
        against.append((too_long, f"speed: {seconds:,.0f} s or more for a request here"))
    if measured is not None and measured.quantization not in (None, placed.quantization):
        notes.append(f"speed measured at {measured.quantization}")
    return CandidateRow(
        model=model.id,
        outcome=_outcome(against, ruling),
        ruling=ruling.outcome,
        obligations=len(ruling.obligations),
        parameters=parameter_count(model.shape),
        active_parameters=active_parameter_count(model.shape),
        reasons=(*(reason for _, reason in against), *notes),
        why=_why(model, placed, asked, way),
        quantization=placed.quantization,
        engine=placed.engine,
        total_bytes=placed.fit.total_bytes,
        headroom_bytes=placed.fit.headroom_bytes,
        largest_context_tokens=placed.fit.largest_context_tokens,
        speed=speed,
        doubtful=is_doubtful(speed, asked.needs, asked.limits),
        seconds_per_request=seconds,
        open_line=next(iter(ruling.open_lines), None),
        **_measured_fields(score),
        made_from=(
            f"ruling:{ruling.id}",
            f"fit:{placed.fit.id}",
            *((f"comparison:{score.comparison_id}",) if score else ()),
        ),
    )


def _measured_fields(score: MeasuredHere | None) -> dict[str, Any]:
    if score is None:
        return {}
    return {"measured_score": score.score, "measured": score.said, "rejected": score.rejected}


def _outcome(against: list[tuple[bool, str]], ruling: Ruling) -> CandidateOutcome:
    if any(hard for hard, _ in against):
        return "excluded"
    return "unclear" if ruling.outcome == "unclear" else "shortlisted"


class _Training(NamedTuple):
    """Whether an adapter can be trained here, in words; what speaks against it."""

    said: str
    against: list[tuple[bool, str]]


def _training(model: Model, asked: _Asked) -> _Training:
    longest = (asked.needs.prompt_tokens_p95 or 0) + (asked.needs.completion_tokens_p95 or 0)
    way = trained(model, longest or None, asked.machine, asked.project.settings)
    if way is None:
        return _Training("", [(True, "training: what it takes is not known")])
    took = f"{gib(way.fit.total_bytes)} of {gib(way.fit.available_bytes)}"
    name = {"lora": "LoRA", "qlora": "QLoRA"}[way.method]
    if way.fit.fits:
        return _Training(f"trained here by {name} ({took})", [])
    return _Training("", [(True, f"training: {name} takes {took} for one sample at a time")])


def _why(model: Model, placed: Placed, asked: _Asked, way: _Training | None) -> str:
    """What speaks for a model, most particular first."""
    said = []
    if asked.needs.task == "code" and is_coder(model):
        said.append("made for code")
    if asked.needs.task in ("tools", "agent") and model.tools:
        said.append("calls tools")
    active = active_parameter_count(model.shape)
    if active < 0.5 * parameter_count(model.shape):
        said.append(f"{active / 1e9:.1f}B of its parameters active")
    if model.released is not None:
        said.append(f"released {model.released}")
    held = f"{gib(placed.fit.total_bytes)} of {gib(placed.fit.available_bytes)}"
    said.append(f"{held} as {placed.quantization}" + (" in vLLM" if placed.engine == "vllm" else ""))
    if way is not None and way.said:
        said.append(way.said)
    return ", ".join(said)


def _encoder_row(model: Model, asked: _Asked, score: MeasuredHere | None) -> CandidateRow:
    """A sentence encoder: heads on it answer from the closed set, so that no token is written. It runs on the
    processor, whatever accelerator there is."""
    ruling = rule_for_model(model.id, asked.project.config.use)
    against = [*_license_reasons(ruling), *_language_reasons(model, asked.needs)]
    if asked.needs.tools or asked.needs.vision:
        against.append((True, "an encoder reads text and calls no tools"))
    cores = msgspec.structs.replace(asked.machine, accelerators=())
    if not cores.available_memory_bytes:  # words that name a card say nothing of the memory next to it
        cores = msgspec.structs.replace(
            cores, memory_bytes=LEAST_HOST_BYTES, available_memory_bytes=LEAST_HOST_BYTES
        )
    fit = fit_of_base(model, Workload(context_tokens=asked.needs.context_tokens), machine=cores)
    if not fit.fits:
        against.append((True, fit.reasons[0]))
    parameters = parameter_count(model.shape)
    what = f"method encoder: for answers from a closed set; reads {model.shape.context_tokens:,} tokens of a message"
    return CandidateRow(
        model=model.id,
        outcome=_outcome(against, ruling),
        ruling=ruling.outcome,
        obligations=len(ruling.obligations),
        parameters=parameters,
        active_parameters=active_parameter_count(model.shape),
        reasons=(*(reason for _, reason in against), *((score.said,) if score else ())),
        why=what,
        quantization=model.quantization,
        engine="encoder",
        total_bytes=fit.total_bytes,
        method="encoder",
        open_line=next(iter(ruling.open_lines), None),
        **_measured_fields(score),
        made_from=(f"ruling:{ruling.id}", *((f"comparison:{score.comparison_id}",) if score else ())),
    )


def _license_reasons(ruling: Ruling) -> list[tuple[bool, str]]:
    if ruling.outcome in BARRED:
        first = ruling.reasons[0] if ruling.reasons else None
        text = f": {first.text} ({first.license_id} {first.section})" if first else ""
        return [(True, f"licence: {ruling.outcome.replace('_', ' ')}{text}")]
    if ruling.outcome == "unclear":
        return [(False, f"licence: unclear: {ruling.reasons[0].text if ruling.reasons else 'not known'}")]
    found = [(False, f"licence: {line}; [use] does not rule that out") for line in ruling.open_lines[:1]]
    if ruling.obligations:
        count = len(ruling.obligations)
        found.append((False, "licence: 1 obligation" if count == 1 else f"licence: {count} obligations"))
    return found


def _need_reasons(model: Model, needs: Needs) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    if needs.tools and model.tools is False:
        calls = f", and {needs.calls_demanded:,} requests demand a call" if needs.calls_demanded else ""
        found.append((True, f"tools: its chat template renders none{calls}"))
    elif needs.tools and model.tools is None:
        found.append((False, "tools: not looked up whether its chat template renders them"))
    if needs.vision and not model.vision:
        found.append((True, "images: it reads text only"))
    if needs.context_tokens > model.shape.context_tokens:
        found.append(
            (
                True,
                f"context: {needs.context_tokens:,} tokens needed, made for {model.shape.context_tokens:,}"
                + (YARN if model.shape.architecture.startswith(("qwen2", "qwen3")) else ""),
            )
        )
    found += _language_reasons(model, needs)
    if not model.instruct:
        found.append((False, "base model: it needs training before it answers"))
    if thinks_first(model) and needs.task != "agent":
        found.append((False, "it writes its reasoning before each answer"))
    return found


def _size_reasons(model: Model, needs: Needs) -> list[tuple[bool, str]]:
    least = LEAST.get(needs.task, 0.0) if needs.task is not None else 0.0
    size = effective_size(parameter_count(model.shape), active_parameter_count(model.shape))
    return [(True, f"size: counts as {size / 1e9:.1f}B, too small for such a task")] if size < least else []


def _language_reasons(model: Model, needs: Needs) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    known = model.languages and "multilingual" not in model.languages
    missing = [one for one in needs.languages if known and one not in model.languages]
    if missing:
        found.append((True, f"languages: not made for {', '.join(missing)}"))
    if needs.languages and not model.languages:
        found.append((False, "languages: not stated by its makers"))
    return found


def _fit_reasons(placed: Placed, workload: Workload) -> list[tuple[bool, str]]:
    if placed.fit.headroom_bytes >= 0:
        return []
    least = gib(placed.fit.total_bytes)
    return [
        (
            True,
            f"memory: needs {least} at {placed.quantization} for {workload.context_tokens:,} tokens × "
            f"{workload.concurrency}, {gib(placed.fit.available_bytes)} available",
        )
    ]
