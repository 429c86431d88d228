"""Addresses of endpoints, and the host names a server answers to."""

import pytest

from freehold.errors import ConfigError
from freehold.wire.base_url import has_responses, joined, merged_query, stem, taken_apart, target
from freehold.wire.hosts import HostPolicy, check_host_names

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/chat/completions", "http://127.0.0.1:8000/v1/chat/completions"),
        ("https://host/a/v4/?x=1", "https://host/a/v4/chat/completions?x=1"),
        ("https://one.openai.azure.com", "https://one.openai.azure.com/openai/v1/chat/completions"),
    ],
)
def test_a_path_lies_below_the_base_url_as_it_is_written(base_url, address):
    assert joined(base_url, CHAT) == address


@pytest.mark.parametrize("base_url", ["https://host", "https://host/v1", "https://host/v1/"])
def test_anthropics_paths_have_a_version_whatever_is_in_front(base_url):
    assert joined(base_url, "/v1/messages", api="anthropic") == "https://host/v1/messages"
    assert (
        joined("https://host/anthropic", "/v1/messages", api="anthropic")
        == "https://host/anthropic/v1/messages"
    )


def test_a_path_of_the_server_itself_lies_outside_its_api():
    assert joined("http://host:1/v1", "/tokenize") == "http://host:1/tokenize"


def test_a_requests_own_parameters_go_first():
    base = "https://host/openai/deployments/d?api-version=2024-10-21"
    assert taken_apart(base) == ("https://host", "/openai/deployments/d", "api-version=2024-10-21")
    assert joined(base, f"{CHAT}?api-version=new&a=1") == (
        "https://host/openai/deployments/d/chat/completions?api-version=new&a=1"
    )
    assert target(base, "/v1/files") == "/openai/deployments/d/files?api-version=2024-10-21"
    assert merged_query("a=1", "b=2") == "a=1&b=2" and merged_query("", "b=2") == "b=2"


def test_azure_has_responses_beside_its_deployments():
    base = "https://one.openai.azure.com/openai/deployments/d?api-version=1"
    assert target(base, "/v1/responses") == "/openai/responses?api-version=1"
    assert target(base, "/openai/responses?api-version=2") == "/openai/responses?api-version=2"
    assert target("https://one.openai.azure.com", "/v1/responses") == "/openai/v1/responses"


@pytest.mark.parametrize(
    ("base_url", "has"),
    [
        ("https://api.openai.com/v1", True),
        ("https://one.openai.azure.com", True),
        ("https://one.openai.azure.com/openai/deployments/d", False),
        ("https://notapi.openai.com", False),
    ],
)
def test_which_addresses_are_known_to_have_the_responses_api(base_url, has):
    assert has_responses(base_url) is has


def test_one_server_is_known_by_one_address():
    assert stem("https://api.openai.com/v1/") == stem("https://api.openai.com") == "https://api.openai.com"
    assert stem("https://openrouter.ai/api/v1") == "https://openrouter.ai/api/v1"
    assert stem("https://api.deepseek.com/v1") == "https://api.deepseek.com/v1"


OWN = [None, "127.0.0.1:8420", "localhost", "app.localhost:8420", "[::1]:8420", "10.1.2.3"]
FOREIGN = [
    "",
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example@127.0.0.1",
    "127.0.0.1, evil.example",
    "0x7f000001",
]


@pytest.mark.parametrize("host", OWN)
def test_own_names_and_addresses(host):
    policy = HostPolicy()
    assert policy.accepts(host) and host in policy.known, "the second time it costs a look"


@pytest.mark.parametrize("host", FOREIGN)
def test_what_a_page_could_have_named(host):
    policy = HostPolicy()
    assert not policy.accepts(host) and host not in policy.known


def test_names_that_were_said():
    policy = HostPolicy(["Models.example.com", "*.svc.cluster.local"], listens="gateway")
    assert policy.says and not HostPolicy().says
    for host in ("models.example.com", "models.example.com:443", "a.b.svc.cluster.local", "gateway:8420"):
        assert policy.accepts(host)
    assert not policy.accepts("example.com") and not policy.accepts("svc.cluster.local.evil.example")
    assert HostPolicy(["*"]).accepts("anything.example")


def test_a_port_binds_own_names_and_not_those_that_were_said():
    policy = HostPolicy(["console.example.com"], port=8425)
    assert policy.accepts("localhost:8425") and policy.accepts("console.example.com")
    assert not policy.accepts("localhost:8426") and not policy.accepts("localhost")


def test_what_is_remembered_is_bounded():
    policy = HostPolicy()
    assert all(policy.accepts(f"10.0.{a}.{b}") for a in range(20) for b in range(200))
    assert len(policy.known) <= 1024


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", ""])
def test_what_is_not_a_name(name):
    with pytest.raises(ConfigError, match="not the name of a host"):
        check_host_names([name])
