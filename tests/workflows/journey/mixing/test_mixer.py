"""A whole migration to a mixture: planned on the selection split, looked at once, promoted with deferral."""

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from tests.gateway.loopback import ANSWER, FakeUpstream, plain
from tests.workflows.journey.rehearsal import CONFIG, MODEL, Told

from freehold.errors import FreeholdError, UsageError
from freehold.processes import claim_port
from freehold.progress import Silent
from freehold.store import look_ledger, open_store
from freehold.types.deferral import Tier
from freehold.types.evaluated import Evaluation, ItemLook
from freehold.types.mixture import Mixture
from freehold.types.route import Route, Target
from freehold.types.verdict import Verdict
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.mixture import kept_mixture, plan_mixture
from freehold.workflows.project import now, open_project
from freehold.workflows.shift.rollout.project import check_upper, with_mixture

RULES = """
[serve]
engine = "echo"
[serve.options]
in_process = true
rules = [{ contains = "refund", answer = "refund" }]
default = "sofa"
"""
"""Right about refunds and wrong about everything else: a router can tell which."""


def project(folder, *, rows=800, margin=0.03, more="", hard=4):
    text = CONFIG.format(lamp="lamp", model=MODEL, margin=margin).partition("[serve]")[0]
    text = text.replace("held_out = 0.5", "held_out = 0.4\nvalidation = 0.5")
    (folder / "freehold.toml").write_text(text + more + RULES)
    with (folder / "traffic.jsonl").open("w") as file:
        for number in range(rows):
            gold = "lamp" if number % hard == 0 else "refund"
            row = {
                "message": f"number {number} about a {gold} of {number * 7919 % 1000}",
                "gold": gold,
                "incumbent": gold,
                "conversation_id": f"c{number}",
                "team": "legal" if number % 10 == 0 else "sales",
            }
            file.write(json.dumps(row) + "\n")
    return open_project(folder / "freehold.toml")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    opened, told = project(tmp_path_factory.mktemp("mixed")), Told()
    return opened, migrate(opened, progress=told), told


def test_a_candidate_that_is_not_good_enough_alone_is_promoted_with_deferral(migrated):
    _, migration, told = migrated
    (candidate,) = migration.report.candidates
    mixture, verdict = candidate.mixture, candidate.verdict
    assert migration.exit_code == 0 and verdict.outcome == "promote" and verdict.mixture_id == mixture.id
    assert candidate.comparison.verdict == "reject", "alone it is a quarter wrong"
    assert mixture.is_proven and mixture.share == pytest.approx(0.76, abs=0.06)
    shares = [one.share for one in mixture.tested]
    assert shares == sorted(set(shares)) and shares[0] >= 0.2
    *proven, last = mixture.tested
    assert all(one.verdict == "promote" for one in proven) and last.verdict != "promote" and not mixture.alone
    taken = next(one for one in proven if one.threshold == mixture.rule.threshold)
    assert taken.difference == mixture.comparison.difference and taken.expected >= -0.01
    assert all(one.expected < -0.01 for one in proven if one.share > mixture.share)
    assert mixture.rule.way == "router"
    assert mixture.rule.mixture_id == mixture.id and mixture.rule.problem is None
    assert verdict.reasons[0].code == "promote_with_deferral"
    assert any("gives no log-probabilities" in note for note in mixture.notes), "the echo engine tells none"
    assert any(line == mixture.sentence for line in told.said)


def test_both_were_one_look_with_all_of_alpha(migrated):
    opened, migration, _ = migrated
    (candidate,) = migration.report.candidates
    with open_store(opened.store_url) as store:
        (look,) = store.records(ItemLook)
        (evaluation,) = store.records(Evaluation)
    assert look.id == evaluation.id and look.path == candidate.mixture.path_id
    assert look.alpha == candidate.mixture.comparison.alpha == 0.025
    assert candidate.comparison.look.informs and not candidate.comparison.look.may_promote
    assert candidate.mixture.comparison.look.may_promote


def test_the_page_shows_the_curve_and_the_sentence(migrated):
    _, migration, _ = migrated
    page = Path(migration.written.html).read_text()
    mixture = migration.report.candidates[0].mixture
    assert "Safe to move in part" in page and mixture.sentence in page and "random split" in page
    assert mixture.comparison.look.text in page and "evaluations this machine knows of: " in page


def test_the_same_again_is_kept_and_adds_no_look(migrated):
    opened, migration, _ = migrated
    other = ItemLook(
        id="e" * 32, at=now(), dataset_id="d", incumbent="i", candidate="c", alpha=0.025,
        items=bytes(16), golds=bytes(8), near=b"", near_counts=bytes(2), traces=bytes(8),
    )  # fmt: skip
    look_ledger.tell(
        other, [other], keep_for="elsewhere"
    )  # what the machine knows of others is no part of it
    again = plan_mixture(opened, progress=Silent())
    assert again.id == migration.report.candidates[0].mixture.id == kept_mixture(opened).id
    with open_store(opened.store_url) as store:
        assert store.count_records(ItemLook) == 1
    with pytest.raises(UsageError, match="no candidate nobody"):
        plan_mixture(opened, label="nobody", progress=Silent())


def test_a_rollout_gets_the_rule_and_refuses_a_stale_one(migrated):
    opened, migration, _ = migrated
    rule = migration.report.candidates[0].mixture.rule
    route = Route(
        name="r",
        model="m",
        incumbent=Target(endpoint="i"),
        candidate=Target(endpoint="local", model=rule.candidate.model),
    )
    with open_store(opened.store_url) as store:
        verdict = store.latest(Verdict)
        assert with_mixture(store, route, verdict=verdict).deferral == rule
        assert (
            with_mixture(store, msgspec.structs.replace(route, deferral=rule), verdict=None).deferral is None
        )
        other = msgspec.structs.replace(route, candidate=Target(endpoint="local", model="another"))
        with pytest.raises(UsageError, match=f"proven for {rule.candidate.model}.*another"):
            with_mixture(store, other, verdict=verdict)
        mixture = store.get(Mixture, verdict.mixture_id)
        stale = msgspec.structs.replace(
            rule, tiers=(msgspec.structs.replace(rule.candidate, identity="older"),)
        )
        store.put(msgspec.structs.replace(mixture, rule=stale.at(stale.threshold)))
        with pytest.raises(UsageError, match="with the identity older"):
            with_mixture(store, route, verdict=verdict)
        store.put(msgspec.structs.replace(mixture, dataset_id="of last month"))
        with pytest.raises(UsageError, match="of last mont"):
            with_mixture(store, route, verdict=verdict)
        store.put(mixture)


def test_declared_requests_go_where_they_are_declared_to(tmp_path):
    more = '[defer]\nalways_incumbent = [{ team = "legal" }]\n'
    mixture = migrate(project(tmp_path, more=more), progress=Silent()).report.candidates[0].mixture
    assert mixture.is_proven and mixture.rule.always_incumbent == ({"team": "legal"},)
    assert mixture.share < 0.72, "a tenth of the refunds is not answered here"


def test_a_share_that_is_too_large_is_not_proven(tmp_path):
    more = "[defer]\nleast_share = 0.9\n"
    migration = migrate(project(tmp_path, more=more), progress=Silent())
    (candidate,) = migration.report.candidates
    assert migration.exit_code == 1 and candidate.verdict.mixture_id is None
    assert not candidate.mixture.is_proven and [one.verdict for one in candidate.mixture.tested] == ["reject"]


def test_every_share_and_the_candidate_alone_are_one_look(tmp_path):
    opened = project(tmp_path, hard=100, margin=0.05)
    migration = migrate(opened, progress=Silent())
    (candidate,) = migration.report.candidates
    mixture = candidate.mixture
    assert migration.exit_code == 0 and candidate.verdict.mixture_id is None, (
        "alone it loses one in a hundred"
    )
    assert mixture.alone and mixture.rule is None and mixture.share == 1.0
    assert candidate.comparison.verdict == "promote" and candidate.comparison.look.number == 1
    # The owner takes a smaller share of those that were proven; that is no other look.
    wanted = mixture.tested[-1].share
    smaller = plan_mixture(opened, share=wanted, progress=Silent())
    assert smaller.is_proven and smaller.share == wanted < 1 and smaller.tested == mixture.tested
    with open_store(opened.store_url) as store:
        assert store.count_records(ItemLook) == 1
        assert store.latest(Verdict).mixture_id == smaller.id
    again = migrate(opened, progress=Silent()).report.candidates[0]
    assert again.mixture.id == again.verdict.mixture_id == smaller.id, "what was taken stays taken"


def test_too_few_held_out_samples_are_told_before_anyone_is_asked(tmp_path):
    told = Told()
    migration = migrate(project(tmp_path, rows=150, margin=0.05), progress=told, beginning="anyway")
    mixture = migration.report.candidates[0].mixture
    assert "cannot show a drop of less than 5 points" in mixture.refused
    assert "it takes 7" in mixture.refused and mixture.way_out
    assert not any("selection samples" in name for name, _ in told.steps)


def test_planning_can_be_turned_off(tmp_path):
    told = Told()
    migration = migrate(project(tmp_path, more="[defer]\nleast_share = 1\n"), progress=told)
    assert migration.exit_code == 1 and migration.report.candidates[0].mixture is None
    assert not any("selection samples" in name for name, _ in told.steps)


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
    address = SimpleNamespace(base_url=f"http://127.0.0.1:{claim_port()}")
    with pytest.raises(FreeholdError, match="can't be reached"):
        migrate(project(tmp_path, more=with_upper(address)), progress=Silent())
