"""What a running gateway takes over, field by field, and what waits."""

import pytest
from msgspec.structs import replace

from freehold.gateway.config import GatewayConfig, TlsFiles
from freehold.gateway.live import TAKEN_OVER, live_change
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Route, Target

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
