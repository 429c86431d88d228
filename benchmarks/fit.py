"""Predicted memory against what llama.cpp allocates by its own load report.

    python benchmarks/fit.py [--weights NAME=FILE.gguf …] [--write docs/reference/memory-fit.md]

Tiny models of many architectures are made on the spot; real weights are added by name. Each is loaded in a
process of its own at three contexts and with two KV cache types, and the report's buffer sizes are read.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import tiny_models
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.memory import compute_bytes, kv_cache
from freehold.hardware.probes import cpu_isa
from freehold.hardware.quantization import repacked_bytes
from freehold.types.machine import Workload

CONTEXTS = (1024, 4096, 8192)
KV_TYPES = ("f16", "q8_0")
MIB = 1 << 20
_LOADS_MAX = 3
BELOW = "\n## Training\n"
FOUR_BIT = ("llama", "gemma3", "mixtral")
"""Made in four bits, so that the CPU's second copy of such tensors is seen as well."""

LOADER = """
import json, os, sys, time
import xllamacpp
asked = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path = asked["path"]
params.n_ctx = asked["context"] * asked["concurrency"]
params.n_parallel = asked["concurrency"]
params.port = 0
params.verbosity = 4
params.warmup = False
kinds = {"f16": 1, "q8_0": 8}
params.cache_type_k = xllamacpp.ggml_type(kinds[asked["kv"]])
params.cache_type_v = xllamacpp.ggml_type(kinds[asked["kv"]])
server = xllamacpp.Server(params)
rss = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")][0]
print("FREEHOLD_RSS", rss * 1024)
sys.stdout.flush(); sys.stderr.flush()
time.sleep(0.3)  # llama.cpp's log has a thread of its own, which writes a little later
os._exit(0)
"""


class Report(NamedTuple):
    """Bytes by the engine's own report."""

    weights: float
    cache: float
    compute: float
    rss: int

    @property
    def total(self) -> float:
        return self.weights + self.cache + self.compute


def load_report(path: Path, context: int, concurrency: int, kv: str) -> Report:
    """Load a model in a process of its own and read what it says it allocated; again where its log was cut off."""
    for _ in range(_LOADS_MAX):
        report = _load_report(path, context, concurrency, kv)
        if report.weights and report.cache and report.compute:
            return report
    raise SystemExit(f"{path.name}: llama.cpp's report is incomplete after {_LOADS_MAX} loads: {report}")


def _load_report(path: Path, context: int, concurrency: int, kv: str) -> Report:
    asked = {"path": str(path), "context": context, "concurrency": concurrency, "kv": kv}
    done = subprocess.run(
        [sys.executable, "-c", LOADER, json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    text = done.stdout + done.stderr
    if done.returncode != 0:
        raise SystemExit(f"{path.name}: llama.cpp did not load it:\n{text[-2000:]}")

    def total(pattern: str) -> float:
        return sum(float(size) for size in re.findall(pattern + r" *= *([\d.]+) MiB", text)) * MIB

    rss = re.search(r"FREEHOLD_RSS (\d+)", text)
    assert rss is not None
    return Report(
        weights=total(r"model buffer size"),
        cache=total(r"(?:KV|RS) buffer size"),
        compute=total(r"compute buffer size") + total(r"output buffer size"),
        rss=int(rss.group(1)),
    )


class Row(NamedTuple):
    """One comparison; errors are relative."""

    model: str
    context: int
    concurrency: int
    kv: str
    report: Report
    weights_error: float
    cache_error: float
    compute_error: float
    total_error: float
    over_mib: float


def compare(name: str, path: Path, context: int, concurrency: int, kv: str) -> Row:
    header = read_header(path)
    shape = shape_from_gguf(header)
    workload = Workload(context_tokens=context, concurrency=concurrency)
    report = load_report(path, context, concurrency, kv)
    stored = [(tensor.name, tensor.dims, tensor.type) for tensor in header.tensors]
    weights = header.tensor_bytes + repacked_bytes(stored, cpu_isa())
    cache = kv_cache(shape, workload, k_type=kv, v_type=kv).bytes
    compute = compute_bytes(shape, workload)
    return Row(
        name,
        context,
        concurrency,
        kv,
        report,
        weights / report.weights - 1,
        cache / report.cache - 1,
        compute / report.compute - 1,
        (weights + cache + compute) / report.total - 1,
        (report.rss - report.total) / MIB,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    arguments.add_argument("--only")
    arguments.add_argument("--write", type=Path)
    asked = arguments.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for pair in asked.weights:
            name, _, file = pair.partition("=")
            models[name] = Path(file)
        for name, shape in tiny_models.SHAPES.items():
            if asked.only and asked.only not in name:
                continue
            quantization = "Q4_K_M" if name in FOUR_BIT else "F16"
            path = Path(folder) / f"{name}.gguf"
            tiny_models.write(shape, quantization, path)
            models[f"tiny {name} {quantization}"] = path
        for name, path in models.items():
            for context in CONTEXTS:
                for kv in KV_TYPES:
                    rows.append(compare(name, path, context, 4 if context == 1024 else 1, kv))
                    print(_line(rows[-1]), flush=True)
    worst = _worst(rows)
    print(worst)
    if asked.write:
        before = asked.write.read_text() if asked.write.exists() else ""
        # What other benchmarks found stands below and stays.
        kept = before[before.index(BELOW) :] if BELOW in before else ""
        asked.write.write_text(_page(rows, worst) + kept)


def _line(row: Row) -> str:
    return (
        f"| {row.model} | {row.context:,} × {row.concurrency} | {row.kv} | {row.report.weights / MIB:.1f} | "
        f"{row.report.cache / MIB:.1f} | {row.report.compute / MIB:.1f} | {row.weights_error:+.2%} | "
        f"{row.cache_error:+.2%} | {row.compute_error:+.1%} | {row.total_error:+.2%} |"
    )


def _worst(rows: list[Row]) -> str:
    return (
        f"Largest errors over {len(rows)} loads: weights {max(abs(row.weights_error) for row in rows):.2%}, "
        f"KV cache and state {max(abs(row.cache_error) for row in rows):.2%}, "
        f"compute {max(abs(row.compute_error) for row in rows):.1%}, "
        f"total {max(abs(row.total_error) for row in rows):.2%}. "
        f"The process held {min(row.over_mib for row in rows):.0f} to "
        f"{max(row.over_mib for row in rows):.0f} MiB of resident memory beyond what is reported."
    )


def _page(rows: list[Row], worst: str) -> str:
    import xllamacpp

    return "\n".join(
        [
            "# Memory: predicted against allocated",
            "",
            "Made by `benchmarks/fit.py`. Each row is one load in llama.cpp "
            f"(xllamacpp {xllamacpp.__version__}, CPU): MiB as the engine reports them, and how far the "
            "prediction from the file's header is off. Tiny models have random weights and the tensors and "
            "attention layout of their family.",
            "",
            worst,
            "",
            "| model | context × at once | KV type | weights | KV and state | compute | Δ weights | Δ KV | "
            "Δ compute | Δ total |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *[_line(row) for row in rows],
            "",
            "Reported sizes are rounded to 0.01 MiB, which is visible on small states.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
