"""Where a project's rollout gets its route and its candidate from."""

import json

import pytest
from click.testing import CliRunner
from tests.report.sample_mixture import mixture
from tests.workflows.shift.shifting import ROUTE, START, trace

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.route import Route, Target
from freehold.types.verdict import Verdict
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.project import (
    check_schemas,
    skipped,
    start_project,
    with_mixture,
)

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


MIXTURE_ROUTE = Route(
    name="r", model="m", incumbent=Target(endpoint="i"), candidate=Target(endpoint="local", model="small:app")
)


def verdict(mixture_id):
    return Verdict(
        id="v" * 32,
        outcome="promote",
        candidate="small:app",
        incumbent="rented-1",
        reasons=(),
        mixture_id=mixture_id,
    )


def test_one_that_is_gone_or_not_proven_is_refused(store):
    with pytest.raises(UsageError, match="which is not in the store"):
        with_mixture(store, MIXTURE_ROUTE, verdict=verdict("gone"))
    store.put(mixture(losses=100))
    with pytest.raises(UsageError, match="not in the store"):
        with_mixture(store, MIXTURE_ROUTE, verdict=verdict("m" * 32))
