"""Agreement of several samples, asked of a real process: an engine with chance in it where it is unsure."""

import pytest
from tests.workflows.journey.mixing.test_mixer import project

from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import EvalResult, Score
from freehold.types.progress import Silent
from freehold.types.selected import SampleAgreement
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.mixing.agreeing import cannot_agree, with_agreement

WANTED = '[defer]\nsignals = ["agreement"]\nagreement_samples = 3\n'


@pytest.mark.timeout(600)
def test_an_engine_that_always_says_the_same_is_refused_in_words(tmp_path):
    """The echo engine has no chance in it: all further samples agree, which tells no answer from another."""
    mixture = migrate(project(tmp_path, more=WANTED), progress=Silent()).report.candidates[0].mixture
    (curve,) = mixture.curves
    assert (curve.way, curve.signal, curve.quality.n) == ("cascade", "agreement", mixture.selection_samples)
    assert mixture.rule is None and "the signal is 1 for every answer" in mixture.refused


def test_what_has_a_price_or_no_chance_is_not_asked_again():
    assert "behind an address" in cannot_agree(ServePlan(engine="remote", model="m"))
    assert "the same each time" in cannot_agree(ServePlan(engine="encoder", model="m"))
    assert cannot_agree(ServePlan(engine="llamacpp", model="m")) is None


def test_results_carry_what_is_known():
    results = [
        EvalResult(sample_id=str(at), model="m", output="a", score=Score(value=1.0)) for at in range(2)
    ]
    found = with_agreement(results, SampleAgreement(values=(0.5, None)))
    assert [one.signals for one in found] == [{"agreement": 0.5}, {}]
