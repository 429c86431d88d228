"""Estimated against measured speed on this machine: is what was measured inside the stated range?

    python benchmarks/speed.py [--weights NAME=FILE.gguf …] [--write tests/hardware/measured_speeds.json]

Models of known shapes are written with empty weights, which take the same bytes and the same arithmetic as real ones;
real weights are added by name. Each is served and timed as `freehold bench-model` does it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tiny_models
from freehold.catalog import models
from freehold.hardware.gguf_header import read_header
from freehold.hardware.probes import probe_machine
from freehold.hardware.shapes import shape_from_gguf
from freehold.hardware.speed import estimate
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.machine import Machine, Speed, Workload
from freehold.workflows.bench_model import bench
from freehold.workflows.project import Project

EMPTY = (
    ("Qwen/Qwen2.5-0.5B-Instruct", "Q8_0"),
    ("Qwen/Qwen3-0.6B", "Q4_K_M"),
    ("meta-llama/Llama-3.2-1B-Instruct", "Q4_K_M"),
    ("google/gemma-3-1b-it", "Q4_0"),
    ("ibm-granite/granite-3.1-2b-instruct", "Q4_K_M"),
    ("LiquidAI/LFM2-1.2B", "Q8_0"),
)
PROMPT_TOKENS, COMPLETION_TOKENS = 512, 64


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE.gguf")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    import msgspec

    box = probe_machine(measure=True)
    print(
        f"{box.cpu}, {box.cores} cores, {(box.memory_bandwidth_bytes_per_second or 0) / 1e9:.1f} GB/s measured"
    )
    print("| model | build | reads, estimated | measured | writes, estimated | measured |")
    print("|---|---|---|---|---|---|")
    found = []
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
    if asked.write is not None:
        kept = {"measured": datetime.now(UTC).date().isoformat(), "machine": box, "rows": found}
        asked.write.write_text(json.dumps(msgspec.to_builtins(kept), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
