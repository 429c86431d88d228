"""Estimated against measured speed on this machine: is what was measured inside the stated range?

    python benchmarks/speed.py [--weights NAME=FILE.gguf …]    # measure on this machine
    python benchmarks/speed.py --page docs/reference/speed.md  # the page from benchmarks/measured_speeds.csv

Models of known shapes are written with empty weights, which take the same bytes and the same arithmetic as real ones;
real weights are added by name. Each is served and timed as `freehold fit --measure speed` does it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from freehold.catalog import models
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import Build, estimate
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.machine import Machine, Speed, Workload
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.project import Project
from freehold.workflows.serve.measure import bench

EMPTY = (
    ("Qwen/Qwen2.5-0.5B-Instruct", "Q8_0"),
    ("Qwen/Qwen3-0.6B", "Q4_K_M"),
    ("meta-llama/Llama-3.2-1B-Instruct", "Q4_K_M"),
    ("google/gemma-3-1b-it", "Q4_0"),
    ("ibm-granite/granite-3.1-2b-instruct", "Q4_K_M"),
    ("LiquidAI/LFM2-1.2B", "Q8_0"),
)
PROMPT_TOKENS, COMPLETION_TOKENS = 512, 64
FIGURES = Path(__file__).with_name("measured_speeds.csv")
HERE = Machine(
    name="2 cores of a Xeon with AMX", cores=2, memory_bytes=24 << 30, available_memory_bytes=20 << 30,
    cpu="Intel Xeon", isa=("AVX2", "AVX-512", "AVX-512-VNNI", "AMX-INT8"),
    memory_bandwidth_bytes_per_second=24.5e9,
)  # fmt: skip
"""The machine the project measured on, its bandwidth as the probe gives it there."""
ONE_CORE = Machine(
    name="1 core of an EPYC", cores=1, memory_bytes=24 << 30, available_memory_bytes=20 << 30, cpu="AMD EPYC",
    isa=("AVX2", "AVX-512", "AVX-512-VNNI"), memory_bandwidth_bytes_per_second=31e9,
)  # fmt: skip
"""A machine that was busy: one thread's tokens per second of processor time, and its bandwidth with one thread."""
OWN = {box.name: box for box in (HERE, ONE_CORE)}


def row(project: Project, name: str, path: Path, box: Machine) -> dict[str, Any]:
    """One model: what was estimated and what was measured, tokens a second, slowest and fastest."""
    made = bench(
        project,
        str(path),
        engine="llamacpp",
        prompt_tokens=PROMPT_TOKENS,
        completion_tokens=COMPLETION_TOKENS,
    )
    header = read_header(path)
    return {
        "model": name,
        "quantization": header.quantization,
        "bytes": header.tensor_bytes,
        "shape": shape_from_gguf(header),
        "build": made.build or "wheel",
        "reads": made.speed.prefill_tokens_per_second,
        "writes": made.speed.decode_tokens_per_second,
    }


def guess(one: dict[str, Any], box: Machine) -> Speed:
    """The estimate for a row."""
    found = estimate(
        one["shape"], one["bytes"], Workload(context_tokens=COMPLETION_TOKENS), box, build=one["build"]
    )
    assert found is not None
    return found


def show(one: dict[str, Any], box: Machine) -> None:
    speed = guess(one, box)
    cells = [f"{one['model']} {one['quantization']}", one["build"]]
    for (low, high), (slow, fast) in (
        (speed.prefill_tokens_per_second, one["reads"]), (speed.decode_tokens_per_second, one["writes"]),
    ):  # fmt: skip
        inside = low <= slow and fast <= high
        cells += [
            f"{low:,.0f} to {high:,.0f}",
            f"{slow:,.0f} to {fast:,.0f}" + ("" if inside else " OUTSIDE"),
        ]
    print("| " + " | ".join(cells) + " |", flush=True)


class Known(NamedTuple):
    """A figure somebody measured, and what is estimated for it; None where it was not measured."""

    machine: str
    model: str
    quantization: str
    build: str
    reads: float | None
    writes: float
    source: str
    estimated: Speed

    @property
    def inside(self) -> bool:
        read, write = self.estimated.prefill_tokens_per_second, self.estimated.decode_tokens_per_second
        return (self.reads is None or read[0] <= self.reads <= read[1]) and write[0] <= self.writes <= write[
            1
        ]


def known() -> list[Known]:
    """Every row of `FIGURES` with its estimate."""
    found = []
    with FIGURES.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            shape = models.get(line["model"]).shape
            box = OWN.get(line["machine"]) or find_machine(line["machine"], load())
            work = Workload(context_tokens=128 if line["machine"] in OWN else 1024)
            size = weights_bytes(shape, line["quantization"])
            build: Build = "wheel" if line["build"] == "wheel" else "native"
            made = estimate(shape, size, work, box, build=build)
            assert made is not None
            found.append(
                Known(
                    line["machine"], line["model"], line["quantization"], line["build"],
                    float(line["reads"]) if line["reads"] else None, float(line["writes"]), line["source"], made,
                )
            )  # fmt: skip
    return found


def page() -> str:
    """The reference page of estimated and measured speeds."""
    rows = known()
    lines = [
        "# Speed: estimated against measured",
        "",
        "Made by `python benchmarks/speed.py --page docs/reference/speed.md`; a test holds every figure inside its",
        "range. Tokens a second for one request. Bandwidth of the CPU is as probed there, other rates are the",
        "catalog's.",
        "",
        "| machine | model | reads, estimated | measured | writes, estimated | measured | by |",
        "|---|---|---|---|---|---|---|",
    ]
    sources = list(dict.fromkeys(row.source for row in rows))
    for row in rows:
        read, write = row.estimated.prefill_tokens_per_second, row.estimated.decode_tokens_per_second
        build = f", {row.build} build" if row.machine in OWN else ""
        reads = "" if row.reads is None else f"{row.reads:,.0f}"
        lines.append(
            f"| {row.machine}{build} | {row.model.rpartition('/')[2]} {row.quantization} | {_range(read)} | {reads} "
            f"| {_range(write)} | {row.writes:,.0f} | {sources.index(row.source) + 1} |"
        )
    lines += ["", *(f"{number}. {source}" for number, source in enumerate(sources, 1)), ""]
    lines += [
        "The ranges are wide because engines, drivers and prompt lengths differ: they say which machines come into",
        "question. `freehold fit --measure speed` puts a measured figure in their place, and narrows the ranges of",
        "other models with weights of the same kind on that machine: to a factor of 1.8, of other sizes 3.3. Figures",
        "of 2023 and 2024 are of engines of that time. One request does not fill a data-centre card: with four and",
        "more at once the low end is higher.",
        "",
    ]
    return "\n".join(lines)


def _range(pair: tuple[float, float]) -> str:
    return f"{pair[0]:,.0f} to {pair[1]:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE.gguf")
    parser.add_argument("--page", type=Path, help="Write the page of known figures; nothing is measured.")
    asked = parser.parse_args()
    if asked.page is not None:
        asked.page.write_text(page(), encoding="utf-8")
        return
    box = probe_machine(measure=True)
    print(
        f"{box.cpu}, {box.cores} cores, {(box.memory_bandwidth_bytes_per_second or 0) / 1e9:.1f} GB/s measured"
    )
    print("| model | build | reads, estimated | measured | writes, estimated | measured |")
    print("|---|---|---|---|---|---|")
    found = []
    import tiny_models

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        project = Project(
            root=place, config=ProjectConfig(app=AppConfig(name="x")), settings=load(), config_path=None
        )
        given = [(name, Path(file)) for name, _, file in (text.partition("=") for text in asked.weights)]
        for name, path in given:
            found.append(row(project, name, path, box))
            show(found[-1], box)
        for name, quantization in EMPTY:
            path = place / f"{name.rpartition('/')[2]}-{quantization}.gguf"
            tiny_models.write(models.get(name).shape, quantization, path)
            found.append(row(project, f"{name.rpartition('/')[2]} (empty)", path, box))
            show(found[-1], box)
            path.unlink()


if __name__ == "__main__":
    main()
