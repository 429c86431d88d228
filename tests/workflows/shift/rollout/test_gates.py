"""What a step forward needs, and where a project's rollout gets its route and its candidate from."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from tests.workflows.shift.shifting import ROUTE, START, begun, mirrored, promoting, trace

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.evidence import EvidenceBasis
from freehold.types.route import Target
from freehold.types.verdict import Reason
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.project import check_schemas, opened, skipped, start_project

WITHOUT_PROOF = {"users", "hours", "harm", "quality", "errors", "validity"}
"""All gates but those of the offline verdict."""


def test_a_rollout_without_a_verdict_mirrors_and_goes_no_further_until_there_is_one(store):
    """It reached half of the traffic: the verdict was asked for at promotion only."""
    begun(store, stages=(0.1,))
    day = START + timedelta(hours=25)
    for outcome in (None, "hold", "reject"):
        if outcome is not None:
            store.put(promoting(id=outcome, outcome=outcome))
        for step in (rollout.advance, rollout.promote):
            with pytest.raises(UsageError, match="no offline verdict says promote"):
                step(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    assert store.routes()[0].state == "shadow"
    store.put(promoting())
    moved = rollout.advance(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    assert moved.rollout.state == "canary" and moved.rollout.verdict_id == "v1"
    assert store.route_history("support")[-1].verdict_id == "v1"


def test_a_verdict_that_is_missing_may_be_left_out_by_name_and_the_history_says_so(store):
    begun(store, stages=(0.1,))
    day = START + timedelta(hours=25)
    rollout.advance(store, "support", who="ada", at=day, without={"verdict", *WITHOUT_PROOF})
    assert "verdict" in store.route_history("support")[-1].why
    with pytest.raises(UsageError, match="no offline verdict says promote"):
        rollout.promote(store, "support", who="ada", at=day, without=WITHOUT_PROOF)
    forced = rollout.promote(store, "support", who="ada", at=day, without=rollout.GATES)
    assert forced.rollout.state == "promoted" and "forced" in store.route_history("support")[-1].why


def test_a_step_needs_a_verdict_on_what_the_route_asks(store):
    """The last verdict counted whatever it was on: another model at another endpoint was promoted by it."""
    store.put(promoting(candidate="another"))
    begun(store, stages=(0.1,))
    with pytest.raises(UsageError, match="the verdict is on another, and the route's candidate is base:ft"):
        rollout.advance(store, "support", who="ada", at=START + timedelta(hours=25), without=WITHOUT_PROOF)


@pytest.mark.parametrize(
    ("endpoint", "prompt", "refused"),
    [("house", "p1", True), ("house", "as asked", False), ("local", "p1", False)],
)
def test_a_prompt_that_was_proven_must_be_put_before_requests(store, endpoint, prompt, refused):
    """Another endpoint is asked without it: the bare model was promoted by the proof of the prompted one."""
    evidence = EvidenceBasis(parts={"prompt": prompt}, made_at={"quality": START})
    store.put(promoting(evidence=evidence))
    begun(store, endpoint=endpoint)
    missing = rollout.status(store, "support", at=START + timedelta(hours=60)).missing
    assert any("the route asks house without" in one for one in missing) is refused


@pytest.mark.parametrize(
    ("codes", "missing"), [(("fits",), True), (("fits", "parity_ok"), False), ((), False)]
)
def test_what_is_served_here_must_have_been_compared_with_what_was_trained(store, codes, missing):
    store.put(promoting(reasons=tuple(Reason(code=code, text=code) for code in codes)))
    begun(store)
    found = rollout.status(store, "support", at=START + timedelta(hours=60)).missing
    assert any("was not compared with the trained one" in one for one in found) is missing


@pytest.mark.parametrize(
    ("days", "changed", "why"),
    [
        (1, {}, None),
        (91, {}, "it is 92 days old, and holds for 90"),
        (1, {"task": "another"}, "what counts as right was changed"),
        (1, None, "is not known"),
    ],
)
def test_stale_evidence_moves_no_traffic_unless_it_is_said(store, days, changed, why):
    evidence = None
    if changed is not None:
        made = {"quality": START - timedelta(days=days)}
        evidence = EvidenceBasis(parts=changed, made_at=made)
    store.put(promoting(evidence=evidence))
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number))
    day = START + timedelta(hours=25)
    if why is None:
        assert rollout.advance(store, "support", who="ada", at=day).rollout.state == "canary"
        return
    with pytest.raises(UsageError, match=why) as refused:
        rollout.advance(store, "support", who="ada", at=day)
    assert "freehold migrate renews it" in refused.value.message
    assert store.routes()[0].state == "shadow"
    rollout.advance(store, "support", who="ada", at=day, without=("evidence",))
    assert store.route_history("support")[-1].why.endswith("without evidence")


INCUMBENT = '[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
ROLLOUT = "[task]\nmargin = 0.2\n[rollout]\ncanary = [0.1, 0.5]\nshadow = 0.5\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project named shop; text changes what its file says besides."""
    monkeypatch.chdir(tmp_path)

    def write(text=INCUMBENT + ROLLOUT):
        (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n' + text)
        return open_project()

    return write


def start(project, **changes):
    options = {"route_name": None, "model": None, "candidate_model": None, **changes}
    return start_project(project, **options, who="ada", at=START)


def test_the_route_is_the_one_named_else_the_projects_own(project):
    shop = project()
    with opened(shop, None) as (store, name):
        assert (store.routes(), name) == ([], "shop")
    with opened(shop, "vip") as (_, name):
        assert name == "vip"


def test_a_new_route_goes_from_the_incumbent_to_what_is_served(project):
    shop = project()
    mount = AdapterMount(name="org/base:shop", path="/adapters/shop")
    with open_store(shop.store_url) as store:
        store.put(ServePlan(engine="llamacpp", model="org/base", adapters=(mount,)))
    begun = start(shop)
    assert (begun.route, begun.state, begun.stages, begun.shadow_share) == ("shop", "shadow", (0.1, 0.5), 0.5)
    assert (begun.task.margin, begun.window_s) == (0.2, 120.0)
    with open_store(shop.store_url) as store:
        (route,) = store.routes()
    assert (route.name, route.model, route.incumbent) == ("shop", "gpt-4o", Target(endpoint="incumbent"))
    assert route.candidate == Target(endpoint="local", model="org/base:shop")


def test_a_named_candidate_replaces_the_one_of_a_route_that_is_there(project):
    shop = project()
    start(shop, candidate_model="base:one", model="gpt-4o-mini")
    with open_store(shop.store_url) as store:
        rollout.rollback(store, "shop", who="ada", at=START)
    assert start(shop, candidate_model="base:two").number == 2
    with open_store(shop.store_url) as store:
        (route,) = store.routes()
    assert (route.model, route.candidate.model) == ("gpt-4o-mini", "base:two")


def test_what_is_not_known_is_asked_for(project):
    with pytest.raises(UsageError, match="no candidate is served yet"):
        start(project())
    with pytest.raises(UsageError, match="local is an endpoint") as error:
        start(project(), candidate_model="local", route_name="vip")
    assert "routes set vip --model MODEL" in error.value.hint
    with pytest.raises(UsageError, match="no incumbent to move traffic from"):
        start(project(ROLLOUT), candidate_model="base:ft")


EMAIL = {"type": "object", "properties": {"to": {"type": "string", "format": "email"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "mail", "schema": EMAIL}}
ASKED = {"messages": [{"role": "user", "content": "write"}], "response_format": FORM}


def serving(store, engine):
    store.put(ServePlan(engine=engine, model="base"))


def test_the_traffics_schemas_are_held_against_the_engine(store):
    store.add_traces([trace(1, request=ASKED), trace(2, request=ASKED)])
    check_schemas(store, ROUTE)  # nothing is known to be served yet
    serving(store, "llamacpp")
    with pytest.raises(
        UsageError, match=r"llamacpp cannot hold .*\$\.properties\.to: format email$"
    ) as error:
        check_schemas(store, ROUTE)
    assert "--loose-schemas" in error.value.hint
    serving(store, "vllm")
    check_schemas(store, ROUTE)


def test_another_models_traffic_does_not_count(store):
    store.add_traces([trace(1, request=ASKED, model="another")])
    serving(store, "llamacpp")
    check_schemas(store, ROUTE)


def test_tools_count_where_they_are_strict():
    def asked(**more):
        tool = {"type": "function", "function": {"name": "mail", "parameters": EMAIL, **more}}
        return trace(1, request={"messages": [], "tools": [tool, "nonsense"]})

    assert skipped([asked()], "llamacpp") == []
    assert skipped([asked(strict=True), asked(strict=True)], "llamacpp") == ["$.properties.to: format email"]


def test_the_command_says_so_and_can_be_told_to_go_on(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[task]\nscorer = "exact"\nmargin = 0.1\n'
    )
    monkeypatch.chdir(tmp_path)
    with open_store(open_project(None).store_url) as store:
        store.add_traces([trace(1, request=ASKED)])
        serving(store, "llamacpp")
    refused = CliRunner().invoke(cli, ["rollout", "start"])
    assert isinstance(refused.exception, UsageError) and "format email" in refused.exception.message
    begun = CliRunner().invoke(cli, ["rollout", "start", "--loose-schemas", "--json"])
    assert json.loads(begun.stdout)["state"] == "shadow"
