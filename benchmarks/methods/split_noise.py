"""Does a selection split look easier than the held-out samples, or was one draw of it?

    python -m benchmarks.methods.split_noise --traffic examples/helpdesk/traffic.jsonl --encoder FOLDER --draws 100

`--encoder` is the folder of a frozen encoder that was trained on the shipped split: its sentence
vectors read every message once. With each seed conversations are split by lot as the example does it (35 % held out, a
quarter of the rest to select on), and heads for intent and urgency are fitted on the training part alone; order numbers
are found by the folder's form. Nothing is stopped, calibrated or chosen on the selection part, so what it looks like is
chance and nothing else. Told: the score minus the incumbent's on either part, over the draws.

Each draw looks at what another holds out: it says something of splits, and chooses nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp

from freehold.encoders.answers import answer
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import EncodedText, load_runner

HELD_OUT, VALIDATION = 0.35, 0.25
STRENGTH = 30.0
Numbers = npt.NDArray[np.float64]


def fitted(x: Numbers, y: npt.NDArray[np.int64], labels: int) -> Numbers:
    """Weights of a logistic regression, one column a label, the last row the intercepts."""
    ones = np.hstack([x, np.ones((len(x), 1))])
    truth = np.eye(labels)[y]

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        weights = flat.reshape(ones.shape[1], labels)
        raw = ones @ weights
        total = logsumexp(raw, axis=1)
        penalty = weights.copy()
        penalty[-1] = 0
        value = float((total - (raw * truth).sum(axis=1)).sum()) + float((penalty**2).sum()) / (2 * STRENGTH)
        slope = ones.T @ (np.exp(raw - total[:, None]) - truth) + penalty / STRENGTH
        return value, slope.ravel()

    found = minimize(
        loss, np.zeros(ones.shape[1] * labels), jac=True, method="L-BFGS-B", options={"maxiter": 150}
    )
    return np.asarray(found.x).reshape(ones.shape[1], labels)


def foretold(x: Numbers, weights: Numbers) -> npt.NDArray[np.int64]:
    return np.asarray((np.hstack([x, np.ones((len(x), 1))]) @ weights).argmax(axis=1))


def read(rows: list[dict[str, Any]], folder: Path) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Sentence vectors, and whether the folder's form finds the right order number."""
    manifest, runner = read_manifest(folder), load_runner(folder, threads=1, most_tokens=2048)
    vectors, right = [], []
    for start in range(0, len(rows), 64):
        texts = [row["message"] for row in rows[start : start + 64]]
        for row, text, found in zip(rows[start:], texts, runner.run(texts), strict=False):
            assert isinstance(found, EncodedText)
            vectors.append(found.embedding)
            right.append(
                json.loads(answer(manifest, found, text).text)["order_id"] == row["gold"]["order_id"]
            )
    return np.array(vectors, dtype=np.float64), np.array(right)


def main() -> None:
    """Split, fit and count as often as is said."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traffic", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=100)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.traffic.read_text(encoding="utf-8").splitlines()]
    vectors, numbers = read(rows, given.encoder)
    theirs = np.array([json.loads(row["incumbent"]) == row["gold"] for row in rows])
    fields = {name: sorted({row["gold"][name] for row in rows}) for name in ("intent", "urgency")}
    truth = {
        name: np.array([labels.index(row["gold"][name]) for row in rows]) for name, labels in fields.items()
    }
    groups = np.unique([row["conversation_id"] for row in rows], return_inverse=True)[1]
    gaps, of_incumbent = [], []
    for seed in range(given.draws):
        drawn = np.random.default_rng(seed).random(int(groups.max()) + 1)[groups]
        held_out = drawn < HELD_OUT
        selection = ~held_out & (drawn < HELD_OUT + VALIDATION * (1 - HELD_OUT))
        train = ~held_out & ~selection
        right = numbers.copy()
        for name, labels in fields.items():
            weights = fitted(vectors[train], truth[name][train], len(labels))
            right &= foretold(vectors, weights) == truth[name]
        differences = right.astype(float) - theirs
        gaps.append(100 * float(differences[selection].mean() - differences[held_out].mean()))
        of_incumbent.append(100 * float(theirs[selection].mean() - theirs[held_out].mean()))
        told = {
            "seed": seed,
            "selection": [int(selection.sum()), round(100 * differences[selection].mean(), 1)],
            "held_out": [int(held_out.sum()), round(100 * differences[held_out].mean(), 1)],
            "gap": round(gaps[-1], 1),
        }
        print(json.dumps(told), flush=True)
    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    wide = sum(abs(gap) >= 13.6 for gap in gaps)
    print(
        f"gap: mean {statistics.mean(gaps):+.2f} points (standard error {error:.2f}), standard deviation "
        f"{statistics.stdev(gaps):.1f}, {wide} of {len(gaps)} at 13.6 or more in either direction; the incumbent's own "
        f"part of it has a standard deviation of {statistics.stdev(of_incumbent):.1f}"
    )


if __name__ == "__main__":
    main()
