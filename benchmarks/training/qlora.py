"""An 8-billion model by QLoRA, through the whole of `freehold migrate`, on Banking77. Needs a GPU of 16 GB or more.

    python -m benchmarks.training.qlora --data ../shared/data/banking77 --out /tmp/qlora --model Qwen/Qwen3-8B

The log is written from the data: 500 of its test messages are held out, and the incumbent's recorded answers are the
right ones but for 6 % at random. Training takes freehold's own defaults (all linear layers, rank 64, rate 2e-4 above
two billion weights, batches of 32). Printed is one JSON object: the verdict, both shares right on the held-out
messages, minutes and memory of the training. Its weights come from the hub, or from a folder (`--model file:PATH`).
No figures of it are published yet: no accelerator was at hand. The data are CC-BY-4.0 (Casanueva et al. 2020,
arXiv:2003.04807) and are not copied here.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import random
import sys
from pathlib import Path

from benchmarks.training.samples import SYSTEM
from freehold.errors import FreeholdError
from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project

LEAST_BYTES = 16 * 10**9
"""Memory of an accelerator: 4-bit weights of 8 billion take 5 GiB, activations and the adapter's optimizer the rest."""
WRONG = 0.06
HELD_OUT = 500
CONFIG = """[app]
name = "banking77"
[use]
commercial = false
[incumbent]
model = "recorded"
[data]
files = ["train.jsonl"]
format = "columns"
input = "message"
label = "gold"
incumbent = "incumbent"
system = {system}
held_out_files = ["held_out.jsonl"]
[task]
scorer = "label"
margin = 0.03
[[candidates]]
model = {model}
method = "qlora"
"""


def why_not() -> str | None:
    """Why this cannot run here; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "PyTorch finds no CUDA device here: QLoRA of 8 billion weights would take days on a CPU"
    found = torch.cuda.get_device_properties(0).total_memory
    if found < LEAST_BYTES:
        return (
            f"the GPU has {found / 1e9:.0f} GB of memory, and at least {LEAST_BYTES / 1e9:.0f} GB are needed"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        return "bitsandbytes is not installed: pip install 'freehold[qlora]'"
    return None


def write_log(data: Path, out: Path, model: str) -> None:
    """The project: its file, what was recorded, and what is held out."""
    random_ = random.Random(0)
    for source, name, most in (("train.csv", "train", None), ("test.csv", "held_out", HELD_OUT)):
        with (data / source).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        labels = sorted({row["category"] for row in rows})
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for row in random_.sample(rows, len(rows))[:most]:
                said = random_.choice(labels) if random_.random() < WRONG else row["category"]
                line = {"message": row["text"], "gold": row["category"], "incumbent": said}
                file.write(json.dumps(line) + "\n")
    (out / "freehold.toml").write_text(
        CONFIG.format(model=json.dumps(model), system=json.dumps(SYSTEM)), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="Qwen/Qwen3-8B")
    given = parser.parse_args()
    if (why := why_not()) is not None:
        sys.exit(f"not run: {why}")
    given.out.mkdir(parents=True, exist_ok=True)
    write_log(given.data, given.out, given.model)
    try:
        done = migrate(open_project(given.out / "freehold.toml"), progress=Silent(), beginning="anyway")
    except FreeholdError as error:
        sys.exit(f"{error.message}\nhint: {error.hint}")
    (candidate,) = done.report.candidates
    verdict, trained, compared = candidate.verdict, candidate.trained, candidate.comparison
    print(
        json.dumps(
            {
                "model": given.model,
                "machine": probe_machine(given.out).name,
                "outcome": candidate.stopped if verdict is None else verdict.outcome,
                "shares_right": None
                if compared is None
                else {"incumbent": compared.incumbent_mean, "candidate": compared.candidate_mean},
                "train_seconds": None if trained is None else trained.train_seconds,
                "train_tokens": None if trained is None else trained.train_tokens,
                "peak_memory_bytes": None if trained is None else trained.peak_memory_bytes,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
