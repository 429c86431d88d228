"""Which configurations and routes are refused."""

import msgspec
import pytest
from tests.gateway.proxy.mixtures import mixed, own, rule_for

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig, check_route
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.route import CacheTerms, Route, Target


def route(**changes):
    values = {
        "name": "support",
        "model": "gpt-4o",
        "incumbent": Target(endpoint="openai"),
        "candidate": Target(endpoint="local", model="small"),
        **changes,
    }
    return Route(**values)


def endpoint(name, *models, **more):
    served = tuple(ServedModel(name=model, upstream_name=f"up-{model}") for model in models)
    return Endpoint(name=name, engine="echo", base_url="http://127.0.0.1:1", models=served, **more)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"incumbent": Target(endpoint="nowhere")}, "which is not configured"),
        ({"candidate": None, "state": "canary"}, "has no candidate"),
        ({"canary_share": 1.5}, "expected 0 to 1"),
        ({"sticky": "cookie"}, "sticky is 'cookie'"),
        ({"cache": CacheTerms(seconds=0)}, "the cache's seconds is 0, expected above 0, at most 2,592,000"),
        ({"cache": CacheTerms(mib=float("nan"))}, "the cache's mib is nan"),
    ],
)
def test_routes_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_route(route(**changes), ["openai", "local"])


def test_configurations_that_cannot_be():
    with pytest.raises(ConfigError, match="two endpoints have one name"):
        GatewayConfig(endpoints=(endpoint("a"), endpoint("a")))
    with pytest.raises(ConfigError, match="capture needs a store"):
        GatewayConfig(endpoints=(endpoint("a"),), capture="raw")
    with pytest.raises(ConfigError, match="is not an http"):
        GatewayConfig(endpoints=(Endpoint(name="a", engine="echo", base_url="file:///etc/passwd"),))


def test_a_rule_of_deferral_is_for_one_candidate_and_both_are_named():
    one = own("candidate", "http://127.0.0.1:1")
    other = own("candidate", "http://127.0.0.1:2")
    route = mixed("mix", one, rule_for(one), incumbent=Target(endpoint="candidate"))
    GatewayConfig(endpoints=(one,), routes=(route,))
    with pytest.raises(ConfigError) as refused:
        GatewayConfig(endpoints=(other,), routes=(route,))
    assert one.candidate_id("tuned") in refused.value.message
    assert other.candidate_id("tuned") in refused.value.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"threshold": 0.1}, "changed after it was proven"), ({"id": ""}, "changed after it was proven")],
)
def test_a_rule_that_decides_nothing_is_refused(changes, message):
    one = own("candidate", "http://127.0.0.1:1")
    rule = msgspec.structs.replace(rule_for(one), **changes)
    route = mixed("mix", one, rule, incumbent=Target(endpoint="candidate"))
    with pytest.raises(ConfigError, match=message):
        GatewayConfig(endpoints=(one,), routes=(route,))
    with pytest.raises(ConfigError, match="no candidate"):
        bare = msgspec.structs.replace(route, candidate=None, deferral=rule_for(one), state="incumbent")
        GatewayConfig(endpoints=(one,), routes=(bare,))
