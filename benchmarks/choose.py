"""How long choosing takes: `freehold assess` over the whole catalog, `freehold fit` on a model of 400 GB.

    python benchmarks/choose.py

The large model is a GGUF of DeepSeek-V3's shape whose tensors are a hole in the file: its header is real, nothing
else could be read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tiny_models
from freehold.catalog import models
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.machine import Workload
from freehold.workflows.choose.assess import assess
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.project import Project


def timed(what: str, work: Callable[[], object]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    print(
        f"{what}: {time.process_time() - processor:.2f} s of processor time, {time.perf_counter() - wall:.2f} s in all"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"FREEHOLD_HOME": folder})
        project = Project(
            root=Path(folder),
            config=ProjectConfig(app=AppConfig(name="x")),
            settings=settings,
            config_path=None,
        )
        count = len(models.all_models())
        timed(f"assess, {count} models, first time", lambda: assess(project, machine_spec="L4"))
        timed(f"assess, {count} models, again", lambda: assess(project, machine_spec="RTX 4090"))
        large = Path(folder) / "large.gguf"
        size = tiny_models.write_header(models.get("deepseek-ai/DeepSeek-V3").shape, "Q4_K_M", large)
        print(f"file of {size / 1e9:.0f} GB, {large.stat().st_blocks * 512 / 1e6:.1f} MB of it on the disk")
        machine = find_machine("8x H100 SXM", settings)
        timed("fit", lambda: fit_model(str(large), workload=Workload(), settings=settings, machine=machine))


if __name__ == "__main__":
    main()
