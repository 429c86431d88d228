"""The rollouts that a store holds, and what is said of those it does not."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from click.testing import CliRunner
from tests.gateway.proxy.mixtures import own, rule_for
from tests.workflows.shift.shifting import START, begun

from freehold.cli.main import cli
from freehold.errors import ConfigError, UsageError
from freehold.types.config_file import parse
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.workflows.shift import routes
from freehold.workflows.shift.rollout import rollout

AT = datetime(2026, 3, 1, tzinfo=UTC)
NOTE = {"who": "ada", "at": AT}
HEAD = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
ROUTE = (
    '[[routes]]\nname = "support"\nmodel = "gpt-4o"\ncandidate = { endpoint = "local", model = "base:ft" }\n'
)


def carry(store, text, said=None):
    return routes.carry_over(store, parse(HEAD + text), at=AT, say=[].append if said is None else said.append)


def test_the_file_goes_over_into_the_store_once(store):
    assert carry(store, ROUTE) == ["support"] and carry(store, ROUTE) == []
    (line,) = store.route_history("support")
    assert (line.who, line.why, line.route.candidate.model) == (
        "freehold.toml",
        "the file changed",
        "base:ft",
    )


def test_what_a_command_changed_stays_until_the_files_own_line_changes(store):
    carry(store, ROUTE)
    routes.change(store, parse(HEAD), "support", {"sticky": "user"}, **NOTE)
    assert carry(store, ROUTE + "limits = { concurrency = 3 }\n") == ["support"]
    now = routes.find(store, "support")
    assert now.sticky == "user" and now.limits.concurrency == 3
    carry(store, ROUTE + 'sticky = "header:X-Team"\n')
    assert routes.find(store, "support").sticky == "header:X-Team"
    assert routes.find(store, "support").limits.concurrency is None
    assert carry(store, "") == ["support"] and store.routes() == []
    assert store.route_history("support")[-1].why == "no longer in the file"


def begin_rollout(store):
    rollout.start(
        store,
        routes.find(store, "support"),
        RolloutTerms(
            task=Task(name="x", scorer="exact"),
            stages=(0.5,),
            shadow_share=1.0,
            max_p95_ms=None,
        ),
        who="ada",
        at=AT,
    )


def test_a_running_rollout_keeps_what_is_its_own(store):
    carry(store, ROUTE)
    begin_rollout(store)
    said = []
    carry(store, ROUTE.replace("base:ft", "base:other") + 'state = "promoted"\nsticky = "user"\n', said)
    now = routes.find(store, "support")
    assert (now.state, now.candidate.model, now.sticky) == ("shadow", "base:ft", "user")
    assert said == ["route support: a rollout is running, candidate, state of freehold.toml left aside"]
    assert carry(store, "", said) == [] and "left as it is" in said[-1]
    with pytest.raises(UsageError, match="decides on its state"):
        routes.change(store, parse(HEAD), "support", {"state": "promoted"}, **NOTE)
    with pytest.raises(UsageError):
        routes.remove(store, "support", who="ada", at=AT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROUTE.replace("local", "nowhere"), "names the endpoint nowhere"),
        (ROUTE + "shadow_share = 2.0\n", "shadow_share is 2.0"),
        (ROUTE + "limits = { usd_per_day = -1 }\n", "usd_per_day is -1"),
        ('[[routes]]\nname = "a"\nmodel = "b"\nstate = "canary"\n', "has no candidate"),
        (ROUTE + 'sticky = "moon"\n', "sticky is 'moon'"),
    ],
)
def test_a_route_that_cannot_be_changes_nothing(store, text, message):
    with pytest.raises(ConfigError, match=message):
        carry(store, '[[routes]]\nname = "fine"\nmodel = "m"\n' + text)
    assert store.routes() == []


def test_targets():
    for text in ("incumbent", "local/base:ft", "local/google/gemma-3-270m:ft"):
        assert routes.format_target(routes.parse_target(text)) == text
    for text in ("", "/x", "local/"):
        with pytest.raises(UsageError):
            routes.parse_target(text)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(HEAD)
    return lambda *words: CliRunner().invoke(cli, ["routes", *words])


def test_the_commands(run):
    assert isinstance(run("set", "support", "--model", "gpt-4o").exception, UsageError)
    made = run("set", "support", "--model", "gpt-4o", "--incumbent", "incumbent", "--candidate", "local/b:ft")
    assert made.exit_code == 0 and "local/b:ft" in made.stdout
    for wrong, said in (("concurency=3", "not understood"), ("concurrency=many", "concurrency is 'many'")):
        assert said in run("set", "support", "--limit", wrong).exception.message
    assert run("set", "support").exit_code != 0
    run("set", "support", "--limit", "concurrency=8", "--limit", "usd_per_day=0.50", "--why", "busy")
    assert "usd_per_day 0.50" in run("set", "support", "--state", "incumbent").stdout
    run("set", "support", "--limit", "usd_per_day=", "--candidate", "-")
    (line,) = json.loads(run("list", "--json").stdout)["items"]
    shown = line["route"]
    assert shown["limits"]["usd_per_day"] is None and shown["limits"]["concurrency"] == 8
    assert shown["candidate"] is None
    assert line["changed"]["revision"] == 4
    assert run("remove", "support").exit_code == 0 and "no routes" in run("list").stderr


def test_rollback_needs_no_rollout(run):
    ways = ("--incumbent", "incumbent", "--candidate", "local/b")
    run("set", "support", "--model", "m", *ways, "--state", "promoted")
    back = CliRunner().invoke(cli, ["rollout", "rollback", "--route", "support", "--why", "2 a.m."])
    assert back.exit_code == 0 and "rolled back (2 a.m.)" in back.stdout
    assert json.loads(run("list", "--json").stdout)["items"][0]["route"]["state"] == "rolled_back"
    missing = CliRunner().invoke(cli, ["rollout", "rollback", "--route", "nix"])
    assert isinstance(missing.exception, UsageError) and "no route nix" in missing.exception.message


def test_two_routes_for_the_same_requests_are_refused(run, store):
    """The second would never be reached, and its rollout or rollback would change nothing."""
    first = ("--model", "gpt-4o", "--incumbent", "incumbent")
    assert run("set", "support", *first).exit_code == 0
    assert "same requests as the route support" in str(run("set", "another", *first).exception)
    assert isinstance(run("set", "support", "--model", "").exception, ConfigError)
    with pytest.raises(ConfigError, match="same requests"):
        carry(store, ROUTE + ROUTE.replace('"support"', '"twin"'))
    assert carry(store, ROUTE) == ["support"]


def test_a_route_of_the_file_may_be_renamed(store):
    carry(store, ROUTE)
    assert carry(store, ROUTE.replace('"support"', '"helpdesk"')) == ["helpdesk", "support"]
    assert [route.name for route in store.routes()] == ["helpdesk"]


def test_saving_the_file_keeps_the_rule_of_a_route(store):
    text = '[[routes]]\nname = "support"\nmodel = "gpt-4o"\ncandidate = {{ endpoint = "local" }}\nsticky = "{}"\n'
    carry(store, text.format("user"))
    rule = rule_for(own("local", "http://127.0.0.1:1"))
    (route,) = store.routes()
    store.save_route(msgspec.structs.replace(route, deferral=rule), who="ada", at=AT)
    carry(store, text.format("conversation"))
    (route,) = store.routes()
    assert (route.sticky, route.deferral) == ("conversation", rule)


def test_a_rollout_is_live_until_it_is_over_and_kept_afterwards(store):
    assert routes.rollout_of(store, "support") is None and not routes.is_in_rollout(store, "support")
    started = begun(store)
    assert routes.live_rollouts(store) == [started] and routes.is_in_rollout(store, "support")
    rollout.pause(store, "support", who="ada", at=START)
    assert routes.is_in_rollout(store, "support"), "a pause is not the end"
    ended = rollout.rollback(store, "support", who="ada", at=START)
    assert not routes.live_rollouts(store) and not routes.is_in_rollout(store, "support")
    assert routes.find_rollout(store, "support") == ended


def test_a_wrong_name_is_told_the_right_ones(store):
    begun(store)
    for wrong in (routes.find_rollout, rollout.status, rollout.step):
        with pytest.raises(UsageError) as error:
            wrong(store, "suport")
        assert error.value.hint == "did you mean support?"
    with pytest.raises(UsageError) as error:
        rollout.rollback_route(store, "suport", who="ada", at=START)
    assert error.value.hint == "did you mean support?"
    with pytest.raises(UsageError) as error:
        rollout.rollback_route(store, "mail", who="ada", at=START)
    assert error.value.hint == "routes here: support (--route)"
