"""The figures of the pictures: all candidates, the incumbent's own noise, mixtures."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.report import choosing, sample_mixture, sample_report
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import open_store
from freehold.workflows.tell.views.proof.picture import (
    CURVE_POINTS,
    clone_range,
    intervals,
    mixture_picture,
)

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_copy_of_the_incumbent_lands_where_its_noise_says():
    """The range against a simulation: pairs that differ with probability psi, up as often as down."""
    comparison = sample_report.comparison(n=400, self_noise=0.05)
    found = clone_range(comparison)
    assert found.high == pytest.approx(1.959964 * math.sqrt(0.05 / 400), rel=1e-6) == -found.low
    draw = np.random.default_rng(0)
    means = draw.choice([-1, 0, 1], p=[0.025, 0.95, 0.025], size=(4000, 400)).mean(axis=1)
    inside = np.mean((means > found.low) & (means < found.high))
    assert inside == pytest.approx(found.level, abs=0.02)
    assert clone_range(sample_report.comparison(self_noise=None)) is None


def test_proofs_come_before_the_selection_split_and_each_names_its_record(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    with open_store(project.store_url) as store:
        by_hand = evidence.evaluated(project, store, evidence.results(60))
    report = choosing.report()
    rows = intervals(report, [by_hand])
    assert [row.kind for row in rows] == ["proof", "proof", "selection", "selection"]
    assert rows[0].label == "org/chosen · as_is" and rows[0].record_id == "c" * 32
    assert (rows[1].record_kind, rows[1].record_id) == ("comparison", by_hand.comparison.id)
    assert rows[1].evaluation_id == by_hand.id
    assert {row.record_id for row in rows[2:]} == {report.id}
    assert intervals(None, []) == ()


def test_a_mixtures_curve_is_thinned_and_shows_its_proof():
    mixture = sample_mixture.mixture()
    found = mixture_picture(mixture)
    assert len(found.points) <= CURVE_POINTS + 1
    assert found.mixture_id == mixture.id and found.outcome == mixture.outcome
    assert (found.difference, found.low) == (mixture.comparison.difference, mixture.comparison.ci_low)
    refused = mixture_picture(sample_mixture.refused())
    assert refused.difference is None and "No mixture" in refused.sentence
    assert mixture_picture(sample_mixture.mixture(curves=())) is None
