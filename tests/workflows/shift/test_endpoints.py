"""The endpoints of the file, and a key that is missing when the gateway starts."""

import msgspec
import pytest

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.types.config_file import parse
from freehold.types.route import Route, Target
from freehold.workflows.shift.endpoints import (
    check_endpoints,
    check_routes,
    configured_endpoints,
    dialect_of,
    others_to,
    without_key,
)

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
