"""`freehold machine`: what this machine is, and how each figure is known."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.types.units import gib

if TYPE_CHECKING:
    from freehold.types.machine import Accelerator, Machine


@click.command("machine")
@click.argument("spec", required=False)
@json_option("freehold.types.machine:Machine")
def command(spec: str | None, as_json: bool) -> None:
    """Show what this machine is, or the one that SPEC names, and how each figure is known.

    SPEC is a machine file or words, as --machine of fit, assess, quants and cost takes them. Cores and memory are those
    this process may use (control groups come first); memory bandwidth is measured, which takes about a second.

    \b
    Example:
      freehold machine
      freehold machine "2x L4"
      freehold machine box.toml --json
    """
    from freehold.settings import load
    from freehold.workflows.fit.machine import find_machine

    found = find_machine(spec, load(), measure=spec is None)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Machine) -> None:
    own = found.how.get("all")
    echo(click.style(found.name, bold=True))
    if own:
        echo(hanging(own, "  "))
    words = own is not None and found.cpu == "unknown"  # nothing is said of the host but its memory
    if not words:
        sets = ", ".join(found.isa) or "instruction sets not known"
        _line("CPU", f"{found.cpu}, {sets}", "" if own else "the kernel")
        _line("cores", f"{found.cores}", found.how.get("cores", ""))
    if not words or not found.accelerators:
        _line("memory", gib(found.memory_bytes), found.how.get("memory", ""))
        _line("available", gib(found.available_memory_bytes), found.how.get("available memory", ""))
    if found.memory_bandwidth_bytes_per_second is not None:
        rate = f"{found.memory_bandwidth_bytes_per_second / 1e9:.1f} GB/s"
        _line("bandwidth", rate, found.how.get("memory bandwidth", ""))
    if found.disk_free_bytes is not None:
        _line("disk", f"{gib(found.disk_free_bytes)} free", found.how.get("disk", ""))
    for device, count in collections.Counter(found.accelerators).items():
        _device(device, count)
    if "note" in found.how:
        _line("note", found.how["note"], "")
    if not found.accelerators:
        _line("accelerators", "none", "" if own else "neither NVML, nor an amdgpu driver, nor Apple silicon")


def _device(device: Accelerator, count: int) -> None:
    parts = [gib(device.memory_bytes)]
    if device.free_memory_bytes is not None:
        parts.append(f"{gib(device.free_memory_bytes)} free")
    if device.reserved_bytes:
        parts.append(f"{gib(device.reserved_bytes)} of it kept by the driver")
    if device.unified:
        parts.append("of the machine's memory")
    if device.bandwidth_bytes_per_second is not None:
        parts.append(f"{device.bandwidth_bytes_per_second / 1e9:,.0f} GB/s")
    if device.bf16_flops is not None:
        parts.append(f"{device.bf16_flops / 1e12:,.0f} TFLOPS in bf16")
    if device.watts is not None:
        parts.append(f"{device.watts} W")
    name = device.name if count == 1 else f"{count} × {device.name}, each"
    _line(device.kind, f"{name}: {', '.join(parts)}", device.how)


def _line(name: str, value: str, how: str) -> None:
    echo(hanging(f"{value}  ({how})" if how else value, f"  {name:<13} "))
