"""A larger model of one's own in the incumbent's place: measured, proven against the incumbent, put on a route."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.gateway.loopback import ANSWER, FakeUpstream, plain
from tests.workflows.journey.mixing.test_mixer import project
from tests.workflows.journey.rehearsal import MODEL, Told

from freehold.errors import ConfigError, FreeholdError, UsageError
from freehold.gateway.serve import free_port
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.deferral import Tier
from freehold.types.route import Route, Target
from freehold.types.verdict import Verdict
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.mixture import plan_mixture
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout.project import check_upper, with_mixture


@pytest.fixture(scope="module")
def large():
    """A second model behind an address: right about everything that `right` holds for."""
    fake = FakeUpstream()
    fake.right = lambda text: True

    def respond(seen):
        text = seen.json["messages"][-1]["content"]
        said = ("lamp" if "lamp" in text else "refund") if fake.right(text) else "sofa"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return plain({**ANSWER, "choices": [choice]})

    fake.answer = respond
    yield fake
    fake.close()


def with_upper(large, *, price=""):
    return f'[defer]\nupper = "house/big"\n[[endpoints]]\nname = "house"\nbase_url = "{large.base_url}"\n{price}\n'


def test_a_larger_model_of_ones_own_takes_the_incumbents_place(tmp_path, large):
    large.right, told = (lambda text: True), Told()
    price = "price = { prompt = 0.1, completion = 0.1 }"
    opened = project(tmp_path, more=with_upper(large, price=price))
    migration = migrate(opened, progress=told)
    mixture = migration.report.candidates[0].mixture
    assert mixture.is_proven and migration.exit_code == 0 and not mixture.alone
    assert mixture.rule.upper == Tier(endpoint="house", model="big", base_url=large.base_url)
    assert mixture.upper == "house/big" and "rented-1 is not needed" in mixture.sentence
    assert any("measure it on" in name and "upper model" in name for name, _ in told.steps)
    held_out = round((1 - mixture.tested[0].share) * mixture.comparison.n)
    assert len(large.seen) == mixture.selection_samples + held_out, (
        "asked once, what the smallest share leaves to it"
    )
    assert mixture.cost.mixture_usd is not None or any("upper model" in why for why in mixture.cost.why)
    again = plan_mixture(opened, progress=Silent())
    assert again.id == mixture.id and len(large.seen) == mixture.selection_samples + held_out
    page = Path(migration.written.html).read_text()
    assert "open models alone" in page and "house/big" in page
    with open_store(opened.store_url) as store:
        target = Target(endpoint="local", model=mixture.rule.candidate.model)
        route = Route(name="r", model="m", incumbent=Target(endpoint="i"), candidate=target)
        ruled = with_mixture(store, route, verdict=store.latest(Verdict))
    assert ruled.deferral.upper == mixture.rule.upper
    check_upper(ruled, opened.config.endpoints)
    with pytest.raises(UsageError, match="house is not configured"):
        check_upper(ruled, ())


def test_an_upper_model_that_loses_too_much_is_held_against_the_incumbent(tmp_path, large):
    large.right = lambda text: int(text.split()[1]) % 8 != 0  # wrong on an eighth, all of it deferred
    migration = migrate(project(tmp_path, more=with_upper(large)), progress=Silent())
    mixture = migration.report.candidates[0].mixture
    assert migration.exit_code == 1 and not mixture.is_proven
    assert mixture.outcome == "reject" and len(mixture.tested) == 1
    assert all(one.rest == pytest.approx(-0.125, abs=0.06) for one in mixture.curves)


def test_an_upper_model_that_is_no_endpoint_is_told_when_the_file_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"defer\.upper 'house/big' is not one of") as caught:
        project(tmp_path, more='[defer]\nupper = "house/big"\n')
    assert "add [[endpoints]]" in caught.value.hint


def with_candidates(opened, candidates):
    """The project with candidates of their own in place of the short form."""
    file = opened.root / "freehold.toml"
    text = file.read_text()
    file.write_text(text.replace(f'[[candidates]]\nmodel = "{MODEL}"\n', candidates))
    return open_project(file)


def test_a_candidates_name_stands_for_the_address_that_it_runs_behind(tmp_path, large):
    large.right = lambda text: True
    both = f'[[candidates]]\nmodel = "{MODEL}"\nmethod = "as_is"\n[[candidates]]\nname = "large"\nmodel = "big"\n'
    opened = with_candidates(
        project(tmp_path, more=with_upper(large)), both + 'endpoint = "house"\nmethod = "as_is"\n'
    )
    named = tmp_path / "freehold.toml"
    named.write_text(named.read_text().replace('upper = "house/big"', 'upper = "large"'))
    opened = open_project(named)
    mixture = plan_mixture(opened, label=MODEL, progress=Silent())
    assert mixture.rule.upper == Tier(endpoint="house", model="big", base_url=large.base_url)
    assert mixture.upper == "house/big"


def test_a_candidate_is_not_its_own_upper_model(tmp_path, large):
    large.right = lambda text: int(text.split()[1]) % 8 != 0
    alone = '[[candidates]]\nmodel = "big"\nendpoint = "house"\n'
    opened = with_candidates(project(tmp_path, more=with_upper(large)), alone)
    mixture = plan_mixture(opened, progress=Silent())
    assert mixture.rule is None and "is the upper model itself" in mixture.refused


def test_one_that_cannot_be_reached_is_told(tmp_path):
    address = SimpleNamespace(base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FreeholdError, match="can't be reached"):
        migrate(project(tmp_path, more=with_upper(address)), progress=Silent())
