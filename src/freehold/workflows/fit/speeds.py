"""Speeds measured on this machine, as `freehold bench-model` keeps them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from freehold.catalog import models as catalog
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import Build, estimate
from freehold.store import open_store
from freehold.types.machine import Machine, MeasuredSpeed, Speed, Workload
from freehold.types.record import content_id
from freehold.workflows.project import Project


def all_measured(project: Project) -> tuple[MeasuredSpeed, ...]:
    """Every measured speed, oldest first. A project without a store has none, and asking makes none."""
    with open_store(project.reading_url) as store:
        return tuple(store.records(MeasuredSpeed))


def measured(project: Project, model: str, quantization: str) -> Speed | None:
    """The newest measured speed of a model in a quantization on this machine; None when it was not measured."""
    return newest(all_measured(project), model, quantization, probe_machine(project.settings.home).name)


def newest(speeds: Iterable[MeasuredSpeed], model: str, quantization: str, machine: str) -> Speed | None:
    """The last of `speeds` that was measured with these weights on this machine.

    One without a quantization is of an endpoint that does not say which it serves: it speaks for any.
    """
    found = [
        one.speed
        for one in speeds
        if one.machine == machine
        and one.model.lower() == model.lower()
        and one.quantization in (None, quantization)
    ]
    return found[-1] if found else None


NEAR = (0.75, 1.35)
"""How much lower or higher another model comes out on the same machine, as a part of its roofline's upper end, with
weights of the same kind and the same build. Measured on two CPUs: within 0.85 and 1.18 (docs/reference/speed.md)."""
FAR = (0.55, 1.8)
"""The same between models of which one has over `ALIKE` times the other's bytes: measured within 0.61 and 1.63."""
ALIKE = 4


def narrowed(
    guess: Speed,
    weights: tuple[str, int],
    speeds: Iterable[MeasuredSpeed],
    machine: Machine,
    build: Build,
) -> Speed:
    """An estimate for this machine, narrowed by what another model was measured to reach here.

    `weights` are quantization and bytes of the model that is asked about. The newest measured model of the catalog
    counts whose weights are unpacked the same way; without one the estimate stays.
    """
    quantization, held = weights
    for one in reversed([one for one in speeds if one.machine == machine.name and one.engine == "llamacpp"]):
        model = catalog.find(one.model)
        if model is None or one.quantization is None or _kind(one.quantization) != _kind(quantization):
            continue
        if one.build not in (None, build):
            continue
        asked = Workload(
            context_tokens=one.prompt_tokens + one.completion_tokens, concurrency=one.speed.concurrency
        )
        size = weights_bytes(model.shape, one.quantization)
        own = estimate(model.shape, size, asked, machine, build=build)
        if own is None:
            return guess
        decode = one.speed.decode_tokens_per_second[1] / own.decode_tokens_per_second[1]
        prefill = one.speed.prefill_tokens_per_second[1] / own.prefill_tokens_per_second[1]
        spread = NEAR if max(size, held) <= ALIKE * min(size, held) else FAR
        return msgspec.structs.replace(
            guess,
            prefill_tokens_per_second=_near(guess.prefill_tokens_per_second, prefill, spread),
            decode_tokens_per_second=_near(guess.decode_tokens_per_second, decode, spread),
            decode_all_tokens_per_second=_near(guess.decode_all_tokens_per_second, decode, spread),
            basis=f"{guess.basis}; narrowed by {one.model} {one.quantization}, which was measured here",
        )
    return guess


def _near(estimated: tuple[float, float], reached: float, spread: tuple[float, float]) -> tuple[float, float]:
    """The part of a range that lies about what was reached of its upper end; all of it where they don't meet."""
    low, high = estimated
    near = max(low, high * reached * spread[0]), min(high, high * reached * spread[1])
    return near if near[0] < near[1] else estimated


def _kind(quantization: str) -> str:
    """How weights are unpacked: 16 bits not at all, K and I types in groups of groups, the others block by block."""
    name = quantization.upper()
    if name in ("F16", "BF16", "F32"):
        return "plain"
    return "groups" if "_K" in name or name.startswith("IQ") else "blocks"


def speed_id(machine: Machine, engine: str, weights: str) -> str:
    """The same machine, engine and weights give the same id."""
    devices = [device.name for device in machine.accelerators]
    return content_id([machine.name, machine.cpu, machine.cores, devices, engine, weights])
