"""Speeds measured on this machine, as `freehold bench-model` keeps them."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.hardware.probes import probe_machine
from freehold.store import open_store
from freehold.types.machine import Machine, MeasuredSpeed, Speed
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


def speed_id(machine: Machine, engine: str, weights: str) -> str:
    """The same machine, engine and weights give the same id."""
    devices = [device.name for device in machine.accelerators]
    return content_id([machine.name, machine.cpu, machine.cores, devices, engine, weights])
