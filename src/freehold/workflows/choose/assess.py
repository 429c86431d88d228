"""`freehold assess`: licence, machine, needs and money joined into one ranked table with reasons."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import models as catalog
from freehold.hardware import fit as fitting
from freehold.hardware.memory import ServingLoad
from freehold.hardware.quantization import quantize, repacked_bytes, weights_bytes
from freehold.hardware.speed import Build, estimate
from freehold.hardware.tensors import active_parameter_count, parameter_count
from freehold.store import open_store
from freehold.types.evaluation import Comparison
from freehold.types.machine import Fit, Machine, MeasuredSpeed, Speed, Workload
from freehold.types.model import Model
from freehold.types.planning.assessment import Assessment, CandidateOutcome, CandidateRow, Needs
from freehold.types.record import content_id
from freehold.types.ruling import Ruling
from freehold.types.units import gib
from freehold.workflows.choose.cost import LOOKED_UP, MachinePrice
from freehold.workflows.choose.money import with_costs
from freehold.workflows.choose.needs import SEEN_TRACES, needs_of
from freehold.workflows.fit.encoder import fit_of_base
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.speeds import all_measured, narrowed
from freehold.workflows.license.rule import rule_for_model
from freehold.workflows.project import Project

RankBy = Literal["prior", "size", "speed", "memory"]

QUANTIZATIONS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
"""Tried from the top: the largest that fits is taken. Below four bits quality must be measured first."""

LEAST_BITS = {"Q8_0": 8.5, "Q6_K": 6.5, "Q5_K_M": 5.5, "Q4_K_M": 4.5}
"""The fewest bits a weight takes: what exceeds the machine's memory even so needs no closer look."""
MONTHS_TO_HALVE = 12
"""A model a year younger is taken to do as much with half the parameters. "Densing Law of LLMs" (Xiao et al. 2024,
arXiv 2412.04315) finds three and a half months on public benchmarks, which flatter what came after them."""
MOST_SECONDS = 10
"""For one request: who waits longer turns to something else (Nielsen 1993, "Usability Engineering", chapter 5)."""
_USUAL_PROMPT, _USUAL_ANSWER = 500, 100
DATE_UNKNOWN = "2025-01"
"""Where the catalog has no month of release; what is older has one."""

RANK_RULES: dict[RankBy, str] = {
    "prior": "measured score where there is one, then size and age (a year counts as twice the size): a prior, not a "
    "measurement",
    "size": "measured score where there is one, then larger models first",
    "speed": "measured score where there is one, then faster models first (estimates)",
    "memory": "measured score where there is one, then models that need less memory first",
}


class QuantizationChoice(NamedTuple):
    """A model at the best quantization that fits; `fit` is that of the smallest tried when none does."""

    quantization: str
    fit: Fit
    speed: Speed | None


def assess(
    project: Project,
    *,
    machine_spec: str | None = None,
    stated: Needs | None = None,
    models: tuple[str, ...] = (),
    rank_by: RankBy = "prior",
    use_traces: bool = True,
    machine_price: MachinePrice = LOOKED_UP,
    requests_per_month: Decimal | None = None,
) -> Assessment:
    """Rank the catalog (or `models`) for this project's use, traffic and machine.

    `stated` needs are joined with what the traces show. A model is excluded by its licence, by memory, by
    context, by a capability it lacks; each exclusion has its reason. Nothing is downloaded.
    Raises `UnknownModelError` for an id in `models` that is not in the catalog.
    """
    machine = find_machine(machine_spec, project.settings, measure=machine_spec is None)
    needs = _needs(project, stated, use_traces)
    workload = Workload(context_tokens=needs.context_tokens, concurrency=needs.concurrency)
    # What an encoder is good for no leaderboard says: it stands here where answers are from a closed set.
    everything = [model for model in catalog.all_models() if not model.encoder]
    chosen = [catalog.get(name) for name in models] if models else everything
    encoders = []
    if not models and project.config.task.scorer == "label" and not machine.accelerators:
        encoders = [
            _encoder_row(model, project, needs, machine) for model in catalog.all_models() if model.encoder
        ]
    scores = _scores(project)
    speeds = _measured(project, machine) if machine_spec is None else {}
    rows = [
        _row(model, project, machine, needs, workload, scores.get(model.id.lower()), speeds)
        for model in chosen
    ]
    ordered, money = with_costs(
        project, _ranked([*encoders, *rows], rank_by), machine, machine_price, requests_per_month
    )
    made = Assessment(
        id="",
        machine=machine.name,
        workload=workload,
        needs=needs,
        rows=tuple(ordered),
        ranked_by=RANK_RULES[rank_by],
        advice=money.advice,
        money=money.sentence,
        usd_per_month_now=money.bill,
        assumptions=(
            *needs.how,
            *(
                ("answers in a JSON schema are enforced by the engine, whatever the model",)
                if needs.json_schema
                else ()
            ),
            "speed is estimated unless measured",
            f"by prior, what takes over {MOST_SECONDS} s for a request stands behind what is faster",
            "quantizations below four bits are left out: measure them first",
        ),
        version=__version__,
    )
    return msgspec.structs.replace(made, id=content_id(made))


def _needs(project: Project, stated: Needs | None, use_traces: bool) -> Needs:
    if not use_traces:
        return stated or Needs()
    traced = needs_of(())
    if project.has_store:
        with open_store(project.store_url) as store:
            traced = needs_of(store.latest_traces(SEEN_TRACES))
    if stated is None:
        return traced
    return msgspec.structs.replace(
        traced,
        tools=traced.tools or stated.tools,
        json_schema=traced.json_schema or stated.json_schema,
        vision=traced.vision or stated.vision,
        languages=stated.languages or traced.languages,
        context_tokens=max(traced.context_tokens if traced.traces else 0, stated.context_tokens),
        concurrency=max(traced.concurrency, stated.concurrency),
    )


def _measured(project: Project, machine: Machine) -> dict[str, MeasuredSpeed]:
    """Measured speeds on this machine by model, the newest each."""
    return {one.model.lower(): one for one in all_measured(project) if one.machine == machine.name}


def _scores(project: Project) -> dict[str, tuple[float, str]]:
    """Measured scores by model: candidate's mean of the newest comparison, and the record's id."""
    found: dict[str, tuple[float, str]] = {}
    if not project.has_store:
        return found
    with open_store(project.store_url) as store:
        for comparison in store.records(Comparison):
            if comparison.candidate_mean is not None:
                name = comparison.candidate.split(":")[0].lower()
                found[name] = (comparison.candidate_mean, comparison.id)
    return found


def _row(
    model: Model,
    project: Project,
    machine: Machine,
    needs: Needs,
    workload: Workload,
    score: tuple[float, str] | None,
    speeds: dict[str, MeasuredSpeed],
) -> CandidateRow:
    ruling, measured = rule_for_model(model.id, project.config.use), speeds.get(model.id.lower())
    placed = _place(model, workload, machine, engine_build(project.settings))
    against = [
        *_license_reasons(ruling),
        *_need_reasons(model, needs),
        *_fit_reasons(model, placed, workload),
    ]
    outcome: CandidateOutcome = "shortlisted"
    if any(hard for hard, _ in against):
        outcome = "excluded"
    elif ruling.outcome == "unclear":
        outcome = "unclear"
    notes = []
    speed = measured.speed if measured is not None else placed.speed
    if measured is None and speed is not None:
        weights = placed.quantization, placed.fit.parts[0].bytes
        speed = narrowed(speed, weights, speeds.values(), machine, engine_build(project.settings))
    seconds = _seconds(speed, needs)
    if seconds is not None and seconds > MOST_SECONDS:
        notes.append(f"speed: {seconds:,.0f} s or more for a request here")
    if measured is not None and measured.quantization not in (None, placed.quantization):
        notes.append(f"speed measured at {measured.quantization}")
    return CandidateRow(
        model=model.id,
        outcome=outcome,
        ruling=ruling.outcome,
        obligations=len(ruling.obligations),
        parameters=parameter_count(model.shape),
        active_parameters=active_parameter_count(model.shape),
        reasons=(*(reason for _, reason in against), *notes),
        quantization=placed.quantization,
        total_bytes=placed.fit.total_bytes,
        headroom_bytes=placed.fit.headroom_bytes,
        largest_context_tokens=placed.fit.largest_context_tokens,
        speed=speed,
        seconds_per_request=seconds,
        measured_score=score[0] if score else None,
        made_from=(
            f"ruling:{ruling.id}",
            f"fit:{placed.fit.id}",
            *((f"comparison:{score[1]}",) if score else ()),
        ),
    )


def _encoder_row(model: Model, project: Project, needs: Needs, machine: Machine) -> CandidateRow:
    """A sentence encoder: heads on it answer from the closed set, so that no token is written."""
    ruling = rule_for_model(model.id, project.config.use)
    against = [*_license_reasons(ruling), *_language_reasons(model, needs)]
    if needs.tools or needs.vision:
        against.append((True, "an encoder reads text and calls no tools"))
    fit = fit_of_base(model, Workload(context_tokens=needs.context_tokens), machine=machine)
    if not fit.fits:
        against.append((True, fit.reasons[0]))
    outcome: CandidateOutcome = "excluded" if any(hard for hard, _ in against) else "shortlisted"
    if outcome == "shortlisted" and ruling.outcome == "unclear":
        outcome = "unclear"
    parameters = parameter_count(model.shape)
    what = f"method encoder: for answers from a closed set; reads {model.shape.context_tokens:,} tokens of a message"
    return CandidateRow(
        model=model.id,
        outcome=outcome,
        ruling=ruling.outcome,
        obligations=len(ruling.obligations),
        parameters=parameters,
        active_parameters=active_parameter_count(model.shape),
        reasons=(what, *(reason for _, reason in against)),
        quantization=model.quantization,
        total_bytes=fit.total_bytes,
        method="encoder",
        made_from=(f"ruling:{ruling.id}",),
    )


def _seconds(speed: Speed | None, needs: Needs) -> float | None:
    """For one request at the fast end, as long as those of the traffic; usual ones where there is none."""
    if speed is None:
        return None
    prompt, answer = needs.prompt_tokens or _USUAL_PROMPT, needs.completion_tokens or _USUAL_ANSWER
    return prompt / speed.prefill_tokens_per_second[1] + answer / speed.decode_tokens_per_second[1]


def _place(model: Model, workload: Workload, machine: Machine, build: Build) -> QuantizationChoice:
    tried = QUANTIZATIONS if model.quantization is None else (model.quantization,)
    for name in tried:
        # What cannot fit by its weights alone needs no closer look, unless it is the last to be tried.
        least = parameter_count(model.shape) * LEAST_BITS.get(name, 0) / 8
        if least > _room(machine) and name != tried[-1]:
            continue
        size = weights_bytes(model.shape, name)
        if size > _room(machine) and name != tried[-1]:
            continue
        twice = 0
        if not machine.accelerators:
            typed = quantize(model.shape, name)
            twice = repacked_bytes(
                ((one.tensor.name, one.tensor.dims, one.type) for one in typed), machine.isa
            )
        found = fitting.fit(
            model.id,
            model.shape,
            ServingLoad(
                quantization=name,
                weights_bytes=size,
                weights_basis=f"catalog, {name}",
                repacked_bytes=twice,
            ),
            workload,
            machine=machine,
            version=__version__,
        )
        if found.headroom_bytes >= 0 or name == tried[-1]:
            # What does not fit has no speed here, though a roofline could be drawn for it.
            fast = (
                estimate(model.shape, size, workload, machine, build=build)
                if found.headroom_bytes >= 0
                else None
            )
            return QuantizationChoice(name, found, fast)
    raise AssertionError("the last quantization always returns")


def _room(machine: Machine) -> int:
    if machine.accelerators:
        return fitting.room(machine)[0]
    return machine.available_memory_bytes


def _license_reasons(ruling: Ruling) -> list[tuple[bool, str]]:
    if ruling.outcome in ("not_allowed", "needs_separate_license"):
        first = ruling.reasons[0] if ruling.reasons else None
        text = f": {first.text} ({first.license_id} {first.section})" if first else ""
        return [(True, f"licence: {ruling.outcome.replace('_', ' ')}{text}")]
    if ruling.outcome == "unclear":
        return [(False, f"licence: unclear: {ruling.reasons[0].text if ruling.reasons else 'not known'}")]
    if ruling.obligations:
        count = len(ruling.obligations)
        return [(False, f"licence: {count} obligation{'s' if count != 1 else ''}")]
    return []


def _need_reasons(model: Model, needs: Needs) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    if needs.tools and model.tools is False:
        found.append((True, "tools: its chat template renders none"))
    elif needs.tools and model.tools is None:
        found.append((False, "tools: not looked up whether its chat template renders them"))
    if needs.vision and not model.vision:
        found.append((True, "images: it reads text only"))
    if needs.context_tokens > model.shape.context_tokens:
        found.append(
            (
                True,
                f"context: {needs.context_tokens:,} tokens needed, made for {model.shape.context_tokens:,}",
            )
        )
    found += _language_reasons(model, needs)
    if not model.instruct:
        found.append((False, "base model: it needs training before it answers"))
    return found


def _language_reasons(model: Model, needs: Needs) -> list[tuple[bool, str]]:
    found: list[tuple[bool, str]] = []
    known = model.languages and "multilingual" not in model.languages
    missing = [one for one in needs.languages if known and one not in model.languages]
    if missing:
        found.append((True, f"languages: not made for {', '.join(missing)}"))
    if needs.languages and not model.languages:
        found.append((False, "languages: not stated by its makers"))
    return found


def _fit_reasons(model: Model, placed: QuantizationChoice, workload: Workload) -> list[tuple[bool, str]]:
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


def _prior(row: CandidateRow) -> float:
    """Parameters as they would count in year 0: the geometric mean of all and active, doubled for each year."""
    year, _, month = (catalog.get(row.model).released or DATE_UNKNOWN).partition("-")
    months = 12 * int(year) + int(month or 1)
    return math.log2(math.sqrt(row.parameters * row.active_parameters)) + months / MONTHS_TO_HALVE


def _ranked(rows: list[CandidateRow], by: RankBy) -> list[CandidateRow]:
    order = {"shortlisted": 0, "unclear": 1, "excluded": 2}

    def key(row: CandidateRow) -> tuple[int, bool, float, bool, float]:
        score = -(row.measured_score if row.measured_score is not None else -1.0)
        if by == "speed":
            second = -(row.speed.decode_tokens_per_second[0] if row.speed else 0.0)
        elif by == "memory":
            second = float(row.total_bytes or 0)
        elif by == "prior":
            second = -_prior(row)
        else:
            second = -float(row.parameters)
        slow = by == "prior" and (row.seconds_per_request or 0.0) > MOST_SECONDS
        return order[row.outcome], row.method is None, score, slow, second

    ordered = sorted(rows, key=key)
    return [
        msgspec.structs.replace(row, rank=place) if row.outcome == "shortlisted" else row
        for place, row in enumerate(ordered, 1)
    ]
