"""Few labels: freehold's encoder against SetFit as its library sets it. Prints JSON objects and a table.

    pip install --no-deps "setfit==1.2.0" evaluate
    python -m benchmarks.methods.setfit_compare --data ../shared/data --out /tmp/s --draws 1 ten five

Both start from all-MiniLM-L6-v2, see the same messages of Banking77 (`benchmarks.methods.encoders`: ``ten`` and
``five`` are messages a class) and answer its 3,080 test messages. SetFit (Tunstall et al. 2022, Efficient Few-Shot
Learning Without Prompts) trains as its library does by default: one pass, batches of 16, rate 2e-5, cosine similarity,
logistic regression over the tuned embeddings. Of pairs it draws 20 of each kind a message (`num_iterations`); its
default, all of them with the rarer kind repeated, would be ten to twenty times as many here. Each side runs in a
process of its own, one after the other, with the same threads; seconds are of training alone, without loading.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.methods import encoders
from freehold.settings import load
from freehold.types.encoder import EncoderConfig
from freehold.workflows.train.encoder import ENGLISH_BASE
from freehold.workflows.weights.pull import ensure_weights

PAIRS = 20
BATCH = 16
RATE = 2e-5


def theirs(case: encoders.Case, name: str, draw: int, threads: int) -> dict[str, Any]:
    """SetFit's side."""
    import torch
    from setfit import SetFitModel, Trainer, TrainingArguments

    from datasets import Dataset

    torch.set_num_threads(threads)
    model = SetFitModel.from_pretrained(str(ensure_weights(ENGLISH_BASE, load()).path))
    taught = Dataset.from_dict(
        {"text": [text for text, _ in case.train], "label": [label for _, label in case.train]}
    )
    began, cpu = time.monotonic(), encoders.cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                batch_size=BATCH,
                num_epochs=1,
                num_iterations=PAIRS,
                body_learning_rate=RATE,
                seed=draw,
                report_to="none",
                save_strategy="no",
            ),
            train_dataset=taught,
        )
        trainer.train()
    seconds, used = time.monotonic() - began, encoders.cpu_seconds() - cpu
    given = model.predict([text for text, _ in case.test], batch_size=encoders.BATCH)
    right = sum(str(one) == label for one, (_, label) in zip(given, case.test, strict=True))
    return {
        "side": "setfit",
        "case": name,
        "draw": draw,
        "right": right,
        "share": right / len(case.test),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "load_after": round(os.getloadavg()[0], 1),
    }


def ours(case: encoders.Case, name: str, draw: int, out: Path, threads: int) -> dict[str, Any]:
    """Freehold's side, by its own choice of stage."""
    config = EncoderConfig(threads=threads)
    return {"side": "freehold", **encoders.measure(name, draw, case, out, load(), config)}


def one(given: argparse.Namespace) -> None:
    """One side of one draw, in this process."""
    name = given.cases[0]
    case = list(encoders.cases(name, given.data, given.draw + 1))[given.draw]
    if given.side == "setfit":
        found = theirs(case, name, given.draw, given.threads)
    else:
        found = ours(case, name, given.draw, given.out, given.threads)
    print(json.dumps(found), flush=True)


def main() -> None:
    """Run the cases named, side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--side", choices=("freehold", "setfit"), help=argparse.SUPPRESS)
    parser.add_argument("--draw", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="+", choices=("ten", "five"))
    given = parser.parse_args()
    if given.side is not None:
        one(given)
        return
    lines = []
    for name in given.cases:
        for draw in range(given.draws):
            sides = []
            for side in ("freehold", "setfit"):
                command = [sys.executable, "-m", "benchmarks.methods.setfit_compare", name, "--side", side]
                command += ["--data", str(given.data), "--out", str(given.out), "--draw", str(draw)]
                command += ["--threads", str(given.threads)]
                ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                sides.append(json.loads(ran.stdout.splitlines()[-1]))
                print(json.dumps(sides[-1]), flush=True)
            here, there = sides
            lines.append(
                f"| {name}, draw {draw} | {here['share']:.1%} in {here['seconds']:.0f} s | {there['share']:.1%} in "
                f"{there['seconds']:.0f} s | {there['seconds'] / here['seconds']:.1f} |"
            )
    print("| case | freehold | SetFit | their seconds over ours |\n|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
