"""Mixtures of two encoders: what share of requests a small candidate may answer, cascade and router beside each other.

    python -m benchmarks.methods.mixture --data ../shared/data --out /tmp/mixture [--strong FOLDER] banking snips

Both models are built here. Banking77: the candidate has seen 500 messages (heads only), the weaker incumbent 2,000,
the stronger one all 10,003 (all weights tuned, about eight minutes; `--strong` takes a folder that is trained already).
SNIPS as JSON of an intent and three copied fields: the candidate has seen 1,000 messages, the larger incumbent all but
the 4,000 that are asked; a second incumbent is what is right, which no candidate can better.

Messages that none has seen are halved by lot, `--draws` times: a threshold is chosen on one half, and looked at once on
the other. `of the oracle's` is the share answered here over the largest that would have been within the margin on that
half, had one known who is right; `at the margin` the same of what the signal allows there without any proof.
Data: Banking77 (CC-BY-4.0) and SNIPS (CC0), not
copied here.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.methods.encoders import banking, dataset_of
from benchmarks.training.snips import samples_of
from freehold.deferring.learning import learn_router
from freehold.deferring.router import Router
from freehold.encoders.answers import answer
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import EncodedText, load_runner
from freehold.progress import Silent
from freehold.settings import Settings, load
from freehold.stats.compare import compare_scores
from freehold.stats.deferral import (
    auroc,
    best_curve,
    mixture_curve,
    share_interval,
    taken_share,
)
from freehold.stats.rules import DecisionRule
from freehold.types.dataset import Message
from freehold.types.deferral import Calibration, SignalName
from freehold.types.encoder import EncoderConfig, EncoderStage
from freehold.types.evaluation import PairedResult
from freehold.types.mixture import MixtureCurve
from freehold.workflows.train.encoder import ENGLISH_BASE, train_encoder
from freehold.workflows.weights.pull import ensure_weights

MARGIN, ALPHA, LEAST_SHARE = 0.02, 0.025, 0.2
RULE = DecisionRule(margin=MARGIN, alpha=ALPHA)
COPIED = ("artist", "playlist", "city")
BATCH = 256
MANY = 5000
"""With more messages than this, three draws are enough: each is two minutes' work."""
Numbers = npt.NDArray[np.float64]


class Model(NamedTuple):
    """What a model did with the messages: which it got right, how sure it was (nothing: it is the truth itself)."""

    name: str
    right: npt.NDArray[np.bool_]
    signals: dict[SignalName, Numbers]


class Pair(NamedTuple):
    """Two models on the same messages."""

    name: str
    texts: Sequence[str]
    incumbent: Model
    candidate: Model


def banking_pairs(data: Path, out: Path, settings: Settings, strong: Path | None) -> Iterator[Pair]:
    """The candidate of 500 messages against a weaker and a stronger incumbent, and the weaker one on more messages."""
    train, test = banking(data)
    shuffled = random.Random(0).sample(train, len(train))
    texts = [text for text, _ in test]
    right = [label for _, label in test]
    taught = _trained(out / "banking-500", shuffled[:500], "frozen", settings)
    candidate = _asked("500", taught, texts, right)
    weaker = _trained(out / "banking-2000", shuffled[:2000], "frozen", settings)
    yield Pair("Banking77, weaker incumbent", texts, _asked("2,000", weaker, texts, right), candidate)
    folder = strong or _trained(out / "banking-all", train, "auto", settings)
    yield Pair("Banking77, stronger incumbent", texts, _asked("all", folder, texts, right), candidate)
    more = test + shuffled[2000:]
    texts_of_more, right_of_more = [text for text, _ in more], [label for _, label in more]
    yield Pair(
        "Banking77, weaker incumbent, more messages",
        texts_of_more,
        _asked("2,000", weaker, texts_of_more, right_of_more),
        _asked("500", taught, texts_of_more, right_of_more),
    )


def snips_pairs(data: Path, out: Path, settings: Settings) -> Iterator[Pair]:
    """Intent and three copied fields as JSON."""
    rows = []
    for kind in ("train", "validate"):
        for sample in samples_of(data / "snips", kind):
            wanted = json.loads(sample.gold or "")
            slots = {name: value for name, value in wanted["slots"].items() if isinstance(value, str)}
            gold = {"intent": wanted["intent"]} | {name: slots.get(name) for name in COPIED}
            rows.append((str(sample.messages[-1].content), json.dumps(gold, ensure_ascii=False)))
    shuffled = random.Random(0).sample(list(dict(rows).items()), len(dict(rows)))
    asked, rest = shuffled[:4000], shuffled[4000:]
    texts, right = [text for text, _ in asked], [gold for _, gold in asked]
    candidate = _asked("1,000", _trained(out / "snips-1000", rest[:1000], "frozen", settings), texts, right)
    larger = _trained(out / "snips-rest", rest, "frozen", settings)
    yield Pair(
        "SNIPS JSON, larger incumbent", texts, _asked(f"{len(rest):,}", larger, texts, right), candidate
    )
    truth = Model("what is right", np.ones(len(texts), dtype=np.bool_), {})
    yield Pair("SNIPS JSON, incumbent that never errs", texts, truth, candidate)


def _trained(place: Path, rows: list[tuple[str, str]], stage: EncoderStage | str, settings: Settings) -> Path:
    """The folder of an encoder trained on the rows; one that is there already is used."""
    done = place / "made.json"
    if not done.exists():
        made = train_encoder(
            config=EncoderConfig(stage=stage),  # type: ignore[arg-type]
            dataset=dataset_of(
                place / "data",
                {"train": [((Message(role="user", content=text),), label) for text, label in rows]},
            ),
            base=ensure_weights(ENGLISH_BASE, settings),
            out_dir=place,
            name="encoder",
            settings=settings,
            progress=Silent(),
        )
        done.write_text(json.dumps({"path": made.path}))
    return Path(json.loads(done.read_text())["path"])


def _asked(name: str, folder: Path, texts: Sequence[str], right: Sequence[str]) -> Model:
    """What the encoder of a folder answers, by the code that serves it."""
    manifest = read_manifest(folder)
    runner = load_runner(folder, threads=2, most_tokens=4096)
    given, told = [], []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        for text, read in zip(part, runner.run(part), strict=True):
            assert isinstance(read, EncodedText)
            found = answer(manifest, read, text)
            given.append(found.text)
            told.append(found.probability)
    same = np.array([_same(one, gold) for one, gold in zip(given, right, strict=True)])
    return Model(name, same, {"probability": np.array(told)})


def _same(given: str, gold: str) -> bool:
    return bool(json.loads(given) == json.loads(gold)) if gold.startswith("{") else given == gold


class Way(NamedTuple):
    """One way of deciding: its signal on both halves."""

    signal: SignalName
    selection: Numbers
    held_out: Numbers


def measured(pair: Pair, draw: int) -> dict[str, Any]:
    """One halving: every way's curve, and the one look at the best one."""
    order = np.random.default_rng(draw).permutation(len(pair.texts))
    selection, held_out = order[: len(order) // 2], order[len(order) // 2 :]
    differences = pair.candidate.right.astype(float) - pair.incumbent.right.astype(float)
    good = differences >= 0
    texts = np.array(pair.texts, dtype=object)
    own = pair.candidate
    learned = learn_router(texts[selection].tolist(), good[selection].tolist())
    router = Router.of(learned.file)
    ways = [
        Way(
            "probability",
            own.signals["probability"][selection],
            own.signals["probability"][held_out],
        ),
        Way(
            "router",
            learned.scores,
            np.array([router.score_text(text) for text in texts[held_out]]),
        ),
    ]
    made = [
        mixture_curve(
            one.signal,
            one.selection,
            differences[selection],
            codes=None,
            rule=RULE,
            least_share=LEAST_SHARE,
        )
        for one in ways
    ]
    found: dict[str, Any] = {
        "pair": pair.name,
        "draw": draw,
        "incumbent": float(pair.incumbent.right.mean()),
        "candidate": float(pair.candidate.right.mean()),
        "samples": len(held_out),
        "oracle": _oracle_share(differences[held_out]),
        "chosen": best_curve([curve for curve, _ in made]),
    }
    for one, (curve, (calibration,)) in zip(ways, made, strict=True):
        found[one.signal] = _looked_at(pair, one, curve, calibration, held_out, found["oracle"])
    return found


def _looked_at(
    pair: Pair,
    way: Way,
    curve: MixtureCurve,
    calibration: Calibration,
    held_out: npt.NDArray[np.int64],
    oracle: float,
) -> dict[str, Any]:
    """What a curve's threshold does on the half that did not choose it."""
    mine, theirs = pair.candidate.right[held_out].astype(float), pair.incumbent.right[held_out].astype(float)
    good = mine >= theirs
    foretold = np.interp(way.held_out, calibration.raw, calibration.probability)
    at_margin = _share_at_margin(way.held_out, mine - theirs)
    found: dict[str, Any] = {
        "share_at_margin": at_margin,
        "at_margin_of_oracle": at_margin / oracle if oracle else None,
        "auroc": auroc(way.held_out, good),
        "refused": curve.refused,
    }
    going: list[tuple[float, PairedResult]] = []
    for point in curve.points:
        here = foretold >= point.threshold
        compared = compare_scores(
            [str(place) for place in held_out], theirs.tolist(), np.where(here, mine, theirs).tolist(), RULE
        )
        if compared.verdict != "promote":
            break
        going.append((float(here.mean()), compared))
    if not going:
        return found
    taken = taken_share([point.difference for point in curve.points[: len(going)]], MARGIN)
    share, compared = going[taken]
    return found | {
        "proven_share": going[-1][0],
        "share": share,
        "share_interval": share_interval(foretold >= curve.points[taken].threshold, None, ALPHA),
        "of_oracle": share / oracle if oracle else None,
        "difference": compared.difference,
        "interval": (compared.ci_low, compared.ci_high),
        "random_split": share * float((mine - theirs).mean()),
        "verdict": compared.verdict,
        "selection_share": curve.points[taken].share,
    }


def _oracle_share(differences: Numbers) -> float:
    """The largest share within the margin on these samples, had one known each answer's score: the best ones first."""
    means = np.cumsum(np.sort(differences)[::-1]) / len(differences)
    within = np.flatnonzero(means >= -MARGIN - 1e-9)
    return float((within[-1] + 1) / len(differences)) if len(within) else 0.0


def _share_at_margin(raw: Numbers, differences: Numbers) -> float:
    """The largest share, the surest first, at which these very samples lose no more than the margin: what the signal is
    worth, without a proof."""
    means = np.cumsum(differences[np.argsort(-raw, kind="stable")]) / len(raw)
    within = np.flatnonzero(means >= -MARGIN - 1e-9)
    return float((within[-1] + 1) / len(raw)) if len(within) else 0.0


def _summary(found: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each way: means over the draws."""
    lines = []
    for way in ("probability", "router"):
        rows = [one[way] for one in found]
        chosen = [row for row in rows if "share" in row]
        at_margin = statistics.mean(row["at_margin_of_oracle"] for row in rows)
        head = (
            f"| {found[0]['pair']} | {found[0]['samples']:,} "
            f"| {found[0]['candidate']:.1%} / {found[0]['incumbent']:.1%} | {way} | {at_margin:.0%} |"
        )
        told = f" {statistics.mean(row['auroc'] for row in rows):.3f} |"
        if not chosen:
            lines.append(f"{head} none | – | – | – | 0 of {len(rows)} |{told}")
            continue

        def mean(name: str, rows: list[dict[str, Any]] = chosen) -> float:
            return float(statistics.mean(row[name] for row in rows))

        promoted = sum(row["verdict"] == "promote" for row in chosen)
        lines.append(
            f"{head} {mean('share'):.1%} | {mean('of_oracle'):.0%} | {100 * mean('difference'):+.2f} | "
            f"{100 * mean('random_split'):+.2f} | {promoted} of {len(rows)} |{told}"
        )
    return lines


def main() -> None:
    """Run the sets named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--strong", type=Path, help="an encoder's folder, trained on all of Banking77")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("sets", nargs="+", choices=("banking", "snips"))
    given = parser.parse_args()
    settings, began, lines = load(), time.monotonic(), []
    for name in given.sets:
        pairs = (
            banking_pairs(given.data, given.out, settings, given.strong)
            if name == "banking"
            else snips_pairs(given.data, given.out, settings)
        )
        for pair in pairs:
            found = []
            for draw in range(given.draws if len(pair.texts) < MANY else min(given.draws, 3)):
                found.append(measured(pair, draw))
                print(json.dumps(found[-1]), flush=True)
            lines += _summary(found)
    print(
        "| pair | samples | candidate / incumbent right | way | at the margin | share here | of the oracle's | points "
        "| random split | promoted | AUROC |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(lines))
    print(f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
