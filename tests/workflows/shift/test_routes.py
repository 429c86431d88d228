"""Routes of the file and of commands; endpoints, and a key that is missing when the gateway starts."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from click.testing import CliRunner
from tests.gateway.proxy.mixtures import own, rule_for

from freehold.cli.main import cli
from freehold.errors import ConfigError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.types.config import parse
from freehold.types.evaluation import Task
from freehold.types.route import Route, Target
from freehold.types.serving.rollout import RolloutTerms
from freehold.workflows.shift import routes
from freehold.workflows.shift.endpoints import (
    check_endpoints,
    check_routes,
    configured_endpoints,
    dialect_of,
    others_to,
    without_key,
)
from freehold.workflows.shift.rollout import rollout

AT = datetime(2026, 3, 1, tzinfo=UTC)
NOTE = routes.ChangeNote(who="ada", at=AT)
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
    routes.change(store, parse(HEAD), "support", {"sticky": "user"}, NOTE)
    assert carry(store, ROUTE + "limits = { concurrency = 3 }\n") == ["support"]
    now = routes.find(store, "support")
    assert now.sticky == "user" and now.limits.concurrency == 3
    carry(store, ROUTE + 'sticky = "header:X-Team"\n')
    assert routes.find(store, "support").sticky == "header:X-Team"
    assert routes.find(store, "support").limits.concurrency is None
    assert carry(store, "") == ["support"] and store.routes() == []
    assert store.route_history("support")[-1].why == "no longer in the file"


def begun(store):
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
    begun(store)
    said = []
    carry(store, ROUTE.replace("base:ft", "base:other") + 'state = "promoted"\nsticky = "user"\n', said)
    now = routes.find(store, "support")
    assert (now.state, now.candidate.model, now.sticky) == ("shadow", "base:ft", "user")
    assert said == ["route support: a rollout is running, candidate, state of freehold.toml left aside"]
    assert carry(store, "", said) == [] and "left as it is" in said[-1]
    with pytest.raises(UsageError, match="decides on its state"):
        routes.change(store, parse(HEAD), "support", {"state": "promoted"}, NOTE)
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


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (ROUTE + "canary_shar = 0.1\n", "unknown key routes.canary_shar", "did you mean canary_share?"),
        (
            ROUTE + "limits = { concurency = 3 }\n",
            "unknown key routes.limits.concurency",
            "did you mean concurrency?",
        ),
        (ROUTE + 'state = "canry"\n', r"routes\[0\].state", None),
    ],
)
def test_mistakes_in_the_file_name_the_place(text, message, hint):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(HEAD + text)
    assert caught.value.hint == hint


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


CONFIG = parse("""
[app]
name = "a"
[incumbent]
model = "gpt-4o"
base_url = "https://api.example.com/v1/"
api_key_env = "FREEHOLD_TEST_INCUMBENT"
[[endpoints]]
name = "mine"
base_url = "http://10.0.0.7:8000"
[[endpoints]]
name = "other"
base_url = "https://other.example.com/v1"
models = ["*"]
forward_client_key = true
""")
MINE, INCUMBENT = Target(endpoint="mine"), Target(endpoint="incumbent")


def test_clients_keys_are_for_the_incumbent_and_for_who_says_so():
    incumbent, mine, other = configured_endpoints(CONFIG)
    assert [one.name for one in (incumbent, mine, other)] == ["incumbent", "mine", "other"]
    assert [one.forward_client_key for one in (incumbent, mine, other)] == [True, False, True]
    assert incumbent.base_url == "https://api.example.com" and mine.models == ()
    assert [served.name for served in other.models] == ["*"]


@pytest.mark.parametrize(
    ("lines", "has"),
    [
        ('base_url = "https://api.openai.com/v1"', True),
        ('base_url = "https://eu.api.openai.com/v1"', True),
        ('base_url = "https://x.openai.azure.com"', True),
        ('base_url = "https://x.openai.azure.com/openai/deployments/d?api-version=1"', None),
        ('base_url = "https://api.mistral.ai/v1"', None),
        ('base_url = "https://api.openai.com.example.com/v1"', None),
        ('base_url = "https://api.anthropic.com"\napi = "anthropic"', False),
    ],
)
def test_who_has_the_responses_api_is_known_said_or_found_out(lines, has):
    for table in ('[incumbent]\nmodel = "m"', '[[endpoints]]\nname = "e"'):
        (endpoint,) = configured_endpoints(parse(f'[app]\nname = "a"\n{table}\n{lines}'))
        found = endpoint.capabilities
        assert (found.responses, found.responses_unknown) == (bool(has), has is None)


@pytest.fixture
def config(monkeypatch):
    monkeypatch.delenv("FREEHOLD_TEST_INCUMBENT", raising=False)
    endpoints = configured_endpoints(CONFIG)
    return GatewayConfig(endpoints=endpoints, without_key=without_key(endpoints))


def test_a_key_that_is_there_is_not_missed(monkeypatch):
    monkeypatch.setenv("FREEHOLD_TEST_INCUMBENT", "sk")
    assert without_key(configured_endpoints(CONFIG)) == ()


@pytest.mark.parametrize(
    ("changes", "reachable"),
    [
        ({}, False),
        ({"state": "canary", "candidate": MINE}, False),
        ({"state": "promoted", "candidate": MINE}, True),
        ({"state": "promoted", "candidate": INCUMBENT}, False),
        ({"fallback": (MINE,)}, True),
        ({"incumbent": MINE}, True),
    ],
)
def test_a_route_on_which_every_answer_needs_the_missing_key_stops_the_start(config, changes, reachable):
    route = msgspec.structs.replace(Route(name="r", model="gpt-4o", incumbent=INCUMBENT), **changes)
    said = []
    if reachable:
        check_routes([route], config, with_engine=True, say=said.append)
        assert said == [
            "not ready: the endpoint incumbent is not asked, because FREEHOLD_TEST_INCUMBENT is not set"
        ]
    else:
        with pytest.raises(ConfigError, match="route r has no endpoint that can answer") as error:
            check_routes([route], config, with_engine=True, say=said.append)
        assert "export FREEHOLD_TEST_INCUMBENT=" in str(error.value.hint)


@pytest.mark.parametrize(
    ("lines", "to"),
    [
        ('base_url = "https://api.openai.com/v1"', "incumbent"),
        ('base_url = "https://api.openai.com/v1"\napi_key_env = "KEY"', None),
        ('base_url = "https://api.openai.com/v1"\napi_key_env = "KEY"\nothers = "pass"', "incumbent"),
        ('base_url = "https://api.openai.com/v1"\nothers = "refuse"', None),
        ("", None),
    ],
)
def test_the_owners_key_is_lent_by_word_only(lines, to):
    assert others_to(parse(f'[app]\nname = "a"\n[incumbent]\nmodel = "m"\n{lines}')) == to
    assert others_to(parse('[app]\nname = "a"')) is None


@pytest.mark.parametrize(
    ("preset", "base_url", "dialect"),
    [
        (None, "https://one.openai.azure.com/openai/v1", "azure"),
        (None, "https://generativelanguage.googleapis.com/v1beta/openai/", "gemini"),
        (None, "https://api.openai.com/v1", None),
        ("azure", "https://azure.example.com", "azure"),
        ("openai", "https://one.openai.azure.com", None),
    ],
)
def test_whose_own_paths_are_known(preset, base_url, dialect):
    assert dialect_of(preset, base_url) == dialect


def test_a_key_that_would_be_dead_within_the_hour_is_refused():
    address = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi"
    text = f'[app]\nname = "a"\n[incumbent]\nmodel = "m"\nbase_url = "{address}"\n'
    assert configured_endpoints(parse(text))[0].base_url == address
    with pytest.raises(ConfigError, match="end within the hour"):
        configured_endpoints(parse(text + 'api_key_env = "TOKEN"'))


def test_a_gateway_without_an_engine_needs_an_endpoint():
    check_endpoints(GatewayConfig(endpoints=configured_endpoints(CONFIG)))
    with pytest.raises(ConfigError, match="without an engine nothing can answer"):
        check_endpoints(GatewayConfig(endpoints=configured_endpoints(parse('[app]\nname = "a"'))))


@pytest.mark.parametrize(
    ("state", "refused"),
    [("incumbent", False), ("rolled_back", False), ("shadow", True), ("canary", True), ("promoted", True)],
)
def test_a_gateway_without_an_engine_has_no_routes_to_one(state, refused):
    config, said = GatewayConfig(endpoints=configured_endpoints(CONFIG)), []
    route = Route(name="r", model="m", incumbent=INCUMBENT, candidate=Target(endpoint="local"), state=state)
    if refused:
        with pytest.raises(ConfigError, match="route r goes to local"):
            check_routes([route], config, with_engine=False, say=said.append)
    else:
        check_routes([route], config, with_engine=False, say=said.append)
    fallback = msgspec.structs.replace(route, state="incumbent", fallback=(Target(endpoint="local"),))
    with pytest.raises(ConfigError, match="route r goes to local"):
        check_routes([fallback], config, with_engine=False, say=said.append)


def test_a_route_that_nothing_answers_does_not_keep_others_from_the_start():
    config, said = GatewayConfig(endpoints=configured_endpoints(CONFIG)), []
    dead = Route(name="dead", model="m", incumbent=Target(endpoint="local"))
    well = Route(name="well", model="n", incumbent=INCUMBENT)
    check_routes([dead, well], config, with_engine=False, say=said.append)
    assert len(said) == 1 and said[0].startswith("route dead goes to local")


def incumbent_of(lines):
    return parse('[app]\nname = "x"\n[incumbent]\nmodel = "m"\n' + lines)


def test_the_credentials_of_a_cloud_stand_in_the_place_of_a_key():
    host = 'base_url = "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1"\ncredentials = "aws"\n'
    (one,) = configured_endpoints(incumbent_of(host))
    assert (one.credentials, one.api_key_env, one.dialect) == ("aws", None, "bedrock")
    assert one.has_own_key
    # The owner's, so nothing but models is asked with them unless that is said.
    assert others_to(incumbent_of(host)) is None
    assert others_to(incumbent_of(host + 'others = "pass"\n')) == "incumbent"


def test_a_key_and_credentials_are_one_too_many():
    both = 'base_url = "https://x.openai.azure.com"\ncredentials = "azure"\napi_key_env = "K"\n'
    with pytest.raises(ConfigError, match="api_key_env and credentials are both set"):
        configured_endpoints(incumbent_of(both))
    with pytest.raises(ConfigError, match="Invalid enum value 'gcp'"):
        incumbent_of('base_url = "https://x"\ncredentials = "gcp"\n')
    ollama = '[[endpoints]]\nname = "o"\napi = "ollama"\nbase_url = "http://x"\ncredentials = "aws"\n'
    with pytest.raises(ConfigError, match="of no use to Ollama's API"):
        configured_endpoints(incumbent_of(ollama))
