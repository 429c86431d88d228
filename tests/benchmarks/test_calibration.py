"""The error rates are part of the test suite: quick blocks here, the whole of them in the generated page."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.calibration import bare_counts
from benchmarks.calibration.bare_counts import SliceCounts

from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "calibration.md"

LETTERS = ["A", "A2", *"BCDE", "E2", *"FGHI", "I2", *"JKLMNOPQSTUVWXYZ", "AA"]

# Block A of the specification, computed there by other code: (margin, n) -> win-rate factors 0.1 / 0.5 at
# p0 0.7, 0.9, 0.97, 0.995 and alpha 0.025.
EXPECTED = {
    ("0.02", "50"): (0.0170, 0.0210, 0.0033, 0.0189, 0.0002, 0.0073, 0.0000, 0.0001),
    ("0.02", "200"): (0.0221, 0.0237, 0.0189, 0.0243, 0.0155, 0.0195, 0.0162, 0.0153),
    ("0.02", "1000"): (0.0238, 0.0244, 0.0217, 0.0242, 0.0201, 0.0225, 0.0175, 0.0196),
    ("0.05", "50"): (0.0133, 0.0192, 0.0048, 0.0167, 0.0007, 0.0076, 0.0000, 0.0005),
    ("0.05", "200"): (0.0226, 0.0231, 0.0192, 0.0226, 0.0147, 0.0207, 0.0101, 0.0139),
    ("0.05", "1000"): (0.0235, 0.0244, 0.0221, 0.0237, 0.0206, 0.0227, 0.0214, 0.0204),
}


@pytest.fixture(scope="module")
def quick():
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.calibration", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.process
@pytest.mark.timeout(800)
def test_every_error_rate_holds(quick):
    run = quick
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every figure holds" in run.stderr
    assert re.findall(r"^## (\w+) —", run.stdout, re.M) == LETTERS


@pytest.mark.process
@pytest.mark.timeout(800)
def test_the_exact_table_is_the_specifications(quick):
    run = quick
    found = {}
    for line in run.stdout.partition("## A —")[2].partition("## A2")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "0.025":
            found[cells[1], cells[2]] = tuple(float(cell) for cell in cells[3:])
    assert found.keys() == EXPECTED.keys()
    for key, rates in EXPECTED.items():
        assert found[key] == pytest.approx(rates, abs=0.00011), key


@pytest.mark.process
@pytest.mark.timeout(800)
def test_naive_methods_are_shown_failing(quick):
    run = quick
    wald = run.stdout.partition("## A2")[2].partition("## B")[0]
    assert "*0.3642*" in wald  # 36 % where 2.5 % is promised
    story = run.stdout.partition("## M")[2].partition("## N")[0]
    assert "| by items | 1 | 1 of 18 |" in story and "| by items | 18 | 18 of 18 |" in story
    assert re.search(r"as before\* \| 1 \| 13 of 18 \| \*0\.\d+\* \|", story)
    assert "✗" not in run.stdout


@pytest.mark.process
@pytest.mark.timeout(800)
def test_the_page_is_of_the_full_run():
    page = PAGE.read_text(encoding="utf-8")
    assert "python -m benchmarks.calibration --full" in page
    assert re.findall(r"^## (\w+) —", page, re.M) == LETTERS
    assert "✗" not in page


def columns(wins, losses, n):
    return [0.0] * wins + [1.0] * (n - wins), [1.0] * wins + [0.0] * losses + [1.0] * (n - wins - losses)


@pytest.mark.parametrize("seed", range(6))
def test_a_verdict_from_counts_is_the_verdict_from_items(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 600))
    wins, losses = (int(count) for count in rng.binomial(n, rng.choice([0.005, 0.03, 0.15], size=2)))
    rule = DecisionRule(margin=float(rng.choice([0.03, 0.1])))
    unscored = int(rng.integers(0, 4))
    incumbent, candidate = columns(wins, losses, n)
    whole = compare_scores(
        [str(row) for row in range(n + unscored)],
        incumbent + [1.0] * unscored,
        candidate + [None] * unscored,
        rule,
    )
    counted = bare_counts.paired_binary_verdict(wins, losses, n, rule, unscored_pairs=unscored)
    assert (counted.verdict, counted.reason) == (whole.verdict, whole.reasons[0])
    assert (counted.lower, counted.upper) == pytest.approx((whole.ci_low, whole.ci_high), abs=1e-12)
    assert counted.p_exact_promote == whole.p_exact
    asked = whole.ci_high < -whole.margin and counted.p_exact_reject is not None
    assert whole.p_reject == (counted.p_exact_reject if asked else None)


def test_harm_of_slices_from_counts_is_that_of_items():
    counts = [SliceCounts("f=a", 4, 30, 100), SliceCounts("f=b", 3, 2, 80), SliceCounts("f=c", 0, 9, 9)]
    incumbent, candidate, values = [], [], []
    for part in counts:
        left, right = columns(part.wins, part.losses, part.n)
        incumbent, candidate = incumbent + left, candidate + right
        values += [part.name[2:]] * part.n
    rule = DecisionRule(margin=0.02)
    whole = compare_scores([str(i) for i in range(189)], incumbent, candidate, rule, slices={"f": values})
    found = bare_counts.slice_harm(counts, margin=rule.harm_margin)
    by_name = {part.name: part for part in whole.slices}
    assert found.tested == ("f=a", "f=b")
    assert found.p_harm == pytest.approx([by_name[name].p_harm for name in found.tested], abs=1e-12)
    assert found.p_holm == pytest.approx([by_name[name].p_harm_adjusted for name in found.tested], abs=1e-12)
    assert found.flagged == tuple(part.name for part in whole.slices if part.harmed) == ("f=a",)
    assert found.worst_first[0] == whole.slices[0].name


def test_nothing_large_enough_flags_nothing():
    found = bare_counts.slice_harm([SliceCounts("tiny", 0, 9, 9)], margin=0.05)
    assert found == ((), (), (), (), ())
