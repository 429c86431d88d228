from datetime import UTC, datetime
from decimal import Decimal

from freehold.gateway.telemetry.exposition import exposition, standing
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, Target


def route(state, **changes):
    values = {"name": "r", "model": "m", "incumbent": Target(endpoint="i"), "candidate": Target(endpoint="c"),
              "canary_share": 0.2, "shadow_share": 0.5, "state": state, **changes}  # fmt: skip
    return Route(**values)


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
