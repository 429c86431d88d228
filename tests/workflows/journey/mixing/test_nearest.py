"""Likeness to training messages as a signal: measured, chosen or let go, and found as it was proven."""

import json
import random
from pathlib import Path

import pytest
from tests.workflows.journey.mixing.test_mixer import project

from freehold.errors import StorageError
from freehold.types.dataset import Message, Sample
from freehold.types.progress import Silent
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.mixing.looking import decide
from freehold.workflows.journey.mixture import plan_mixture

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WANTED = '[defer]\nsignals = ["similarity"]\n'


def with_strange_ones(folder, more):
    """The project with its hard messages in words that no other message has."""
    opened, drawn = project(folder, more=more), random.Random(0)
    rows = [json.loads(line) for line in (folder / "traffic.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        words = ["".join(drawn.choices(LETTERS, k=7)) for _ in range(6)]
        easy = f"please send the refund for my order {drawn.randrange(9)} back, round {number}"
        row["message"] = f"lamp {' '.join(words)}" if row["gold"] == "lamp" else easy
    (folder / "traffic.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return opened


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    opened = with_strange_ones(tmp_path_factory.mktemp("near"), WANTED)
    return opened, migrate(opened, progress=Silent()).report.candidates[0].mixture


def sample(text):
    return Sample(id="s", messages=(Message(role="user", content=text),))


def test_requests_like_training_messages_are_answered_here(planned):
    opened, mixture = planned
    (curve,) = mixture.curves
    assert (curve.way, curve.signal) == ("router", "similarity") and curve.quality.auroc > 0.95
    assert mixture.is_proven and mixture.share == pytest.approx(0.75, abs=0.06)
    rule = mixture.rule
    assert rule.router is None and rule.index.retriever == "bm25" and rule.index.samples > 50
    assert Path(rule.index.path).parent == opened.state / "examples", "where freehold forget looks"
    assert plan_mixture(opened, progress=Silent()).id == mixture.id


def test_the_look_decides_as_the_gateway_does_and_only_by_what_was_proven(planned):
    rule = planned[1].rule
    asked = [
        sample("please send the refund for my order 3 back, round 9"),
        sample("wqeiuzt lkjhgfd"),
        sample(""),
    ]
    found = decide(rule, asked, [Answered()] * 3)
    assert found.here.tolist() == [True, False, False] and len(found.decided_ms) == 3
    kept = Path(rule.index.path) / "examples.jsonl"
    before = kept.read_bytes()
    kept.write_bytes(before[: len(before) // 2])
    with pytest.raises(StorageError, match="not the one that was proven"):
        decide(rule, asked, [Answered()] * 3)
    kept.write_bytes(before)


class Answered:
    """An answer that came."""

    error = None


def test_messages_that_no_rule_needs_are_let_go(tmp_path):
    """All messages are alike here, so that likeness tells nothing."""
    opened = project(tmp_path, more=WANTED)
    mixture = migrate(opened, progress=Silent()).report.candidates[0].mixture
    assert mixture.rule is None and [one.signal for one in mixture.curves] == ["similarity"]
    assert list((opened.state / "examples").iterdir()) == []
