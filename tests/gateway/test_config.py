"""Which configurations are refused, what a running gateway takes over, and where its processes meet."""

import os
import tempfile

import msgspec
import pytest
from msgspec.structs import replace
from tests.gateway.proxy.mixtures import mixed, own, rule_for

from freehold.errors import ConfigError
from freehold.gateway.config import TAKEN_OVER, GatewayConfig, TlsFiles, check_route, live_change
from freehold.gateway.serve import new_run_folder, start, sweep_left_over_folders
from freehold.processes import claim_port
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.route import ApiKey, Route, Target


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


ONE = Endpoint(name="one", engine="remote", base_url="http://127.0.0.1:1")
BASE = GatewayConfig(endpoints=(ONE,), store_url="sqlite:///x")
OTHER = {
    "endpoints": (ONE, replace(ONE, name="two")),
    "others_to": "one",
    "without_key": ("one",),
    "host": "127.0.0.2",
    "port": 9,
    "tls": TlsFiles(certificate="c", key="k"),
    "hosts": ("gate.example",),
    "routes": (Route(name="r", model="m", incumbent=Target(endpoint="one")),),
    "store_url": "sqlite:///y",
    "spool_folder": "s",
    "capture": "patterns",
    "capture_opt_out": True,
    "capture_queue": 7,
    "capture_queue_bytes": 7,
    "workers": 2,
    "api_keys": (ApiKey(name="k", hash="h"),),
    "keys_required": True,
    "keys_file": "k",
    "prices": {"one": PriceConfig(prompt=1, completion=2)},
    "default_model": "m",
    "attributions": {"a": "b"},
    "max_body_bytes": 7,
    "body_memory_bytes": 5 << 20,
    "connect_timeout_s": 7.0,
    "read_timeout_s": 7.0,
    "drain_s": 7.0,
    "retries": 7,
    "breaker_failures": 7,
    "breaker_pause_s": 7.0,
    "shadow_concurrency": 7,
    "retention_days": 7.0,
    "retention_bytes": 7,
    "log_requests": True,
    "otel": True,
}


def test_every_field_is_taken_over_or_waits():
    assert set(OTHER) == set(GatewayConfig.__struct_fields__)
    for field, value in OTHER.items():
        change = live_change(BASE, replace(BASE, **{field: value}), kept_least=None)
        if field in TAKEN_OVER:
            assert (change.taken, change.waiting) == ((field,), ())
            assert getattr(change.config, field) == value
        else:
            assert (change.taken, change.waiting) == ((), (field,))
            assert change.config == BASE


@pytest.mark.parametrize(
    ("kept_least", "wanted", "is_taken"),
    [
        (None, "raw", True),
        ("raw", "off", True),
        ("raw", "pii", True),
        ("patterns", "off", True),
        ("patterns", "pii", True),
        ("patterns", "raw", False),
        ("pii", "patterns", False),
    ],
)
def test_capture_keeps_no_more_than_was_promised_since_the_start(kept_least, wanted, is_taken):
    running = replace(BASE, capture="off" if wanted != "off" else kept_least)
    change = live_change(running, replace(running, capture=wanted), kept_least=kept_least)
    assert (change.taken == ("capture",)) is is_taken
    assert (change.config.capture == wanted) is is_taken


def test_a_path_that_no_socket_can_have_is_said_before_the_start(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    endpoint = Endpoint(name="a", engine="remote", base_url="http://127.0.0.1:1")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ConfigError, match=f"in {long}: AF_UNIX path too long") as refused:
        start(
            GatewayConfig(
                endpoints=(endpoint,), port=claim_port(), store_url=f"sqlite:///{tmp_path}/s.sqlite3"
            )
        )
    assert "export TMPDIR=/tmp" in refused.value.hint
    assert not [*long.iterdir()]


def test_folders_of_gateways_that_were_killed_are_removed_after_a_week(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new = tmp_path / "freehold-gateway-old", tmp_path / "freehold-gateway-new"
    other = tmp_path / "other"
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "file").touch()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    sweep_left_over_folders()
    assert sorted(tmp_path.iterdir()) == [new, other]
    with new_run_folder() as made:
        assert made.startswith(str(tmp_path / "freehold-gateway-"))
