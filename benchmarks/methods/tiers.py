"""A cascade of two models of one's own before the incumbent: heads that saw 500 messages, then heads that saw 2,000.

    python -m benchmarks.methods.tiers --data ../shared/data --out /tmp/tiers

The second stands for a model that costs twenty times as much (a LoRA beside an encoder); that ratio is assumed, what
each answers and how sure it is are measured. The incumbent is what is right with 6 % random errors. Banking77's 3,080
test messages are halved by lot, `--draws` times: one half settles signals, calibrations and the path, the other is
looked at in the fixed order, as `freehold migrate` does. Data: Banking77 (CC-BY-4.0), not copied here.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.methods.encoders import banking
from benchmarks.methods.mixture import ALPHA, LEAST_SHARE, MARGIN, RULE, Model, _asked, _trained
from freehold.settings import load
from freehold.stats.compare import compare_scores
from freehold.types.config import DeferConfig
from freehold.types.dataset import Message, Sample
from freehold.types.deferral import Tier
from freehold.types.evaluated import LatencySummary
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.mixing.planning import AskedTier, SelectionSplit, find_curves

ERRORS = 0.06
COSTS = (1.0, 20.0)


class Asked(NamedTuple):
    """A model, and what 1,000 requests to it are taken to cost."""

    model: Model
    usd: float


def looked_at(
    texts: list[str], theirs: np.ndarray, models: list[Asked], tiers: int, draw: int
) -> dict[str, float]:
    """One halving: the path from one half, and what the other half proves of it."""
    order = np.random.default_rng(draw).permutation(len(texts))
    chosen, held_out = order[: len(order) // 2], order[len(order) // 2 :]

    def tier(one: Asked, at: np.ndarray) -> AskedTier:
        scores = SelectionScores(
            of=len(at), differences=tuple((one.model.right[at] - theirs[at].astype(float)).tolist()),
            groups=(None,) * len(at), against="incumbent", mean=None, incumbent_mean=None,
            latency=LatencySummary(n=len(at), concurrency=1), seconds_per_request=None,
            signals={"probability": tuple(one.model.signals["probability"][at].tolist())},
        )  # fmt: skip
        return AskedTier(Tier(model=one.model.name, identity=one.model.name), scores, one.usd)

    samples = [Sample(id=str(at), messages=(Message(role="user", content=texts[at]),)) for at in chosen]
    config = DeferConfig(tiers=tiers, least_share=LEAST_SHARE)
    fronts, last = [tier(one, chosen) for one in models[:-1]], tier(models[-1], chosen)
    found = find_curves(SelectionSplit(samples, fronts, last, None, MARGIN, ALPHA, config))[0][0]
    known = {one.model.name: one for one in models}
    sure = []
    for one in found.tiers:
        assert one.calibration is not None
        raw = known[one.model].model.signals["probability"][held_out]
        sure.append(np.interp(raw, one.calibration.raw, one.calibration.probability) - one.ahead)
    proven = {"tiers": float(len(found.tiers)), "share": 0.0, "usd": 0.0, "difference": 0.0}
    for point in found.curve.points:
        mixed, left, usd = theirs[held_out].astype(float), np.ones(len(held_out), bool), 0.0
        for one, row in zip(found.tiers, sure, strict=True):
            usd += known[one.model].usd * left.mean()
            here = left & (row >= point.threshold)
            mixed[here] = known[one.model].model.right[held_out][here]
            left &= ~here
        ids = [str(at) for at in held_out]
        compared = compare_scores(ids, theirs[held_out].astype(float).tolist(), mixed.tolist(), RULE)
        if compared.verdict != "promote":
            break
        proven |= {"share": 1 - left.mean(), "usd": usd, "difference": compared.difference or 0.0}
    return proven


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods.tiers", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=10)
    given = parser.parse_args()
    settings, began = load(), time.process_time()
    train, test = banking(given.data)
    taught = random.Random(0).sample(train, len(train))
    texts, right = [text for text, _ in test], [label for _, label in test]
    models = []
    for seen, usd in zip((500, 2000), COSTS, strict=True):
        place = _trained(given.out / f"banking-{seen}", taught[:seen], "frozen", settings)
        models.append(Asked(_asked(f"{seen:,}", place, texts, right), usd))
    theirs = np.random.default_rng(1).random(len(texts)) >= ERRORS
    for one in models:
        print(f"{one.model.name} messages: {one.model.right.mean():.1%} right")
    print("| tiers | proven share | points | cost of own models | draws with both |\n|---|---|---|---|---|")
    for tiers in (1, 2):
        rows = [looked_at(texts, theirs, models, tiers, draw) for draw in range(given.draws)]
        mean = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
        both = sum(row["tiers"] > 1 for row in rows)
        told = f"{mean['share']:.1%} | {100 * mean['difference']:+.2f} | {mean['usd']:.1f} | {both} of {len(rows)}"
        print(f"| {tiers} | {told} |", flush=True)
    print(f"{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
