"""The host names a server answers to."""

import pytest

from freehold.errors import ConfigError
from freehold.wire.hosts import HostPolicy, check_host_names

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


@pytest.mark.parametrize(
    "name",
    ["https://a.example", "a.example:80", ""],
)
def test_what_is_not_a_name(name):
    with pytest.raises(ConfigError, match="not the name of a host"):
        check_host_names([name])
