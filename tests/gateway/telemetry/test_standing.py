from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.gateway.telemetry.exposition import exposition
from freehold.gateway.telemetry.standing import answering, candidate_share, mirrored_share, standing
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, Target


def route(state, **changes):
    values = {"name": "r", "model": "m", "incumbent": Target(endpoint="i"), "candidate": Target(endpoint="c"),
              "canary_share": 0.2, "shadow_share": 0.5, "state": state, **changes}  # fmt: skip
    return Route(**values)


@pytest.mark.parametrize(
    ("state", "answers", "mirrored"),
    [
        ("incumbent", 0, 0), ("shadow", 0, 0.5), ("canary", 0.2, 0.5), ("promoted", 1, 0), ("rolled_back", 0, 0),
    ],
)  # fmt: skip
def test_shares_are_those_in_force(state, answers, mirrored):
    assert (candidate_share(route(state)), mirrored_share(route(state))) == (answers, mirrored)
    alone = route("incumbent", candidate=None)
    assert (candidate_share(alone), mirrored_share(alone)) == (0, 0)


def test_what_an_operator_asks_is_answered():
    capped = ApiKey(
        name="app", hash="h", limits=Limits(usd_per_day=Decimal("2.5"), usd_per_month=Decimal(40))
    )
    keys = [capped, ApiKey(name="free", hash="g"), ApiKey(name="old", hash="f", limits=capped.limits,
            revoked_at=datetime(2026, 1, 1, tzinfo=UTC))]  # fmt: skip
    now = standing(
        [route("canary", limits=Limits(usd_per_day=Decimal(9)))],
        keys,
        [
            LabelLimits(label="search", limits=Limits(usd_per_month=Decimal(500))),
            LabelLimits(label="free", limits=Limits(requests_per_minute=60)),
        ],
        spent={
            "label:search": (Decimal(2), Decimal(30)),
            "key:app": (Decimal("1.25"), Decimal(7)),
            "key:free": (Decimal(1), Decimal(1)),
        },
        rollbacks={"r": 3},
        config_version="abc",
        config_since_s=12.5,
    )
    lines = exposition([now]).decode().splitlines()
    for line in (
        'freehold_route_state{route="r",state="canary"} 1.0',
        'freehold_route_state{route="r",state="promoted"} 0.0',
        'freehold_route_candidate_share{route="r"} 0.2',
        'freehold_route_mirrored_share{route="r"} 0.5',
        'freehold_name_spend_usd{name="key:app",period="day"} 1.25',
        'freehold_name_spend_usd{name="key:app",period="month"} 7.0',
        'freehold_name_cap_usd{name="key:app",period="month"} 40.0',
        'freehold_name_spend_usd{name="label:search",period="month"} 30.0',
        'freehold_name_cap_usd{name="label:search",period="month"} 500.0',
        'freehold_name_spend_usd{name="route:r",period="day"} 0.0',
        'freehold_name_cap_usd{name="route:r",period="day"} 9.0',
        'freehold_rollbacks_total{route="r"} 3.0',
        'freehold_config_info{version="abc"} 1.0',
        "freehold_config_since_seconds 12.5",
    ):
        assert line in lines
    # A key without a cap is not counted in dollars here: 0 would be wrong.
    assert not [line for line in lines if "free" in line.partition("{")[2] or "old" in line.partition("{")[2]]
    assert len([line for line in lines if line.startswith("freehold_name_cap_usd{")]) == 4


def test_a_route_that_was_never_rolled_back_is_counted_with_zero():
    nothing = {"spent": {}, "config_version": "v", "config_since_s": 1.0}
    now = standing(
        [route("canary"), route("shadow", name="s")], [], {}, rollbacks={"r": 2, "gone": 1}, **nothing
    )
    assert now.counters["freehold_rollbacks"] == [(("gone",), 1.0), (("r",), 2.0), (("s",), 0.0)]


def test_endpoints_are_told_with_where_they_are():
    endpoints = [
        Endpoint(name="i", engine="remote", base_url="http://127.0.0.1:1"),
        Endpoint(name="c", engine="llamacpp", base_url="http://127.0.0.1:2"),
    ]
    answers = {"i": True, "c": False}
    lines = exposition([answering(endpoints, answers, rented={"i"}, is_ready=False)]).decode().splitlines()
    for line in (
        'freehold_endpoint_up{endpoint="i"} 1.0',
        'freehold_endpoint_up{endpoint="c"} 0.0',
        'freehold_endpoint_info{endpoint="i",engine="remote",place="rented"} 1.0',
        'freehold_endpoint_info{endpoint="c",engine="llamacpp",place="own"} 1.0',
        "freehold_ready 0.0",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("freehold_certificate")]
    shown = answering([], {}, rented=set(), is_ready=True, certificate=("/etc/c.pem", 1.5))
    lines = exposition([shown]).decode().splitlines()
    assert 'freehold_certificate_expires_seconds{certificate="/etc/c.pem"} 1.5' in lines
    assert "freehold_ready 1.0" in lines
