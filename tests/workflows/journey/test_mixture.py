import pytest
from tests.report.sample_mixture import mixture
from tests.workflows.journey.rehearsal import project

from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.workflows.journey.mixture import kept_mixture, plan_mixture


def test_the_last_one_of_a_candidate_is_kept(tmp_path):
    opened = project(tmp_path)
    with pytest.raises(UsageError, match="no mixture was planned yet"):
        kept_mixture(opened)
    with open_store(opened.store_url) as store:
        store.put(mixture())
        store.put(mixture(id="n" * 32, candidate="large:app", label="org/large · lora"))
    assert kept_mixture(opened).candidate == "large:app"
    assert kept_mixture(opened, "org/small · encoder").candidate == "small:app"


def test_an_obstacle_is_kept_with_the_way_out(tmp_path):
    opened = project(tmp_path)
    made = plan_mixture(opened, progress=Silent())
    assert made.rule is None and made.refused and made.way_out and kept_mixture(opened) == made


def test_an_unknown_candidate_is_told_with_those_there_are(tmp_path):
    with pytest.raises(UsageError, match="no candidate SmolLM3") as caught:
        plan_mixture(project(tmp_path), label="SmolLM3", progress=Silent())
    assert "SmolLM2-135M-Instruct · " in caught.value.hint
