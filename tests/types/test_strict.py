"""Strict reading: mistakes name the place, the value and the range."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from freehold.errors import ConfigError, UsageError
from freehold.types import record
from freehold.types.choosing import QuantLosses
from freehold.types.dataset import Dataset
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import Evaluation, Freeze
from freehold.types.evaluation import Comparison
from freehold.types.gates import ParityReport
from freehold.types.license import Ruling
from freehold.types.machine import Fit, MeasuredSpeed
from freehold.types.record import (
    content_id,
    event_id,
)
from freehold.types.report import Report
from freehold.types.rollout import Check, Rollout
from freehold.types.route import ApiKey, FileRoute
from freehold.types.training import Adapter
from freehold.types.verdict import Verdict


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    share: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Options(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rate: Annotated[float, Meta(gt=0, le=record.FINITE)] | None = None
    count: Annotated[int, Meta(ge=1)] = 1
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = ("a",)
    near: Annotated[float, Meta(ge=0, le=1, description="0 (off) or from 0.3 to 1")] = 0.8
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    free: dict[str, Any] = {}


def test_what_fits_is_read():
    read = record.read({"name": "x", "rate": 2, "many": [{"share": 1}], "free": {"any": 1}}, Options, "here")
    assert read == Options(name="x", rate=2.0, many=(Inner(share=1.0),), free={"any": 1})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rate": 0}, "here: rate is 0.0, expected above 0"),
        ({"rate": float("inf")}, "here: rate is inf, expected above 0"),
        ({"rate": float("nan")}, "here: rate is nan, expected above 0"),
        ({"count": 0}, "here: count is 0, expected at least 1"),
        ({"count": "many"}, "here: count: Expected `int`, got `str`"),
        ({"models": []}, "here: models is [], expected at least 1 of them"),
        ({"near": 2}, "here: near is 2.0, expected 0 (off) or from 0.3 to 1"),
        ({"inner": {"share": -1}}, "here: inner.share is -1.0, expected from 0 to 1"),
        ({"many": [{"share": 1}, {"share": 2}]}, "here: many[1].share is 2.0, expected from 0 to 1"),
        ({"many": [{"share": "all"}]}, "here: many[0].share: Expected `float`, got `str`"),
        ({"inner": {"shar": 1}}, "here: unknown key inner.shar"),
        ({"many": [{}, {"shar": 1}]}, "here: unknown key many.shar"),
    ],
)
def test_a_mistake_names_the_place_the_value_and_the_range(more, message):
    with pytest.raises(ConfigError) as caught:
        record.read({"name": "x"} | more, Options, "here")
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("key", "hint", "told"),
    [
        ("nmae", None, "did you mean name?"),
        ("zzz", None, "known: count, free, inner, many, models, name, near, rate"),
        ("zzz", "see the guide", "see the guide"),
    ],
)
def test_an_unknown_key_has_a_way_out(key, hint, told):
    with pytest.raises(UsageError, match=f"engine x: unknown option {key}") as caught:
        record.read({key: 1}, Options, "engine x", noun="option", error=UsageError, hint=hint)
    assert caught.value.hint == told and not isinstance(caught.value, ConfigError)


class Chosen(msgspec.Struct):
    way: Literal["sun", "rain"] | None = None


def test_a_record_made_in_code_is_checked_and_a_word_of_no_list_told():
    assert record.misfit(Options(name="x")) is None
    assert record.misfit(Options(name="x", count=0)) == "count is 0, expected at least 1"
    assert record.misfit(Options(name="x", rate=float("nan"))) == "rate is nan, expected above 0"
    with pytest.raises(ConfigError, match="way: Invalid enum value 'snow', known: sun, rain"):
        record.read({"way": "snow"}, Chosen, "here")


class Priced(msgspec.Struct):
    prices: tuple["Price", ...] = ()


class Price(msgspec.Struct):
    usd: Decimal | None = None


@pytest.mark.parametrize("amount", ["nan", "-nan", "snan", "inf", "-1", "1e999", "1000000001"])
def test_an_amount_of_money_that_cannot_be_is_refused_wherever_it_stands(amount):
    with pytest.raises(ConfigError, match=r"prices\.1\.usd is .*, expected 0 to 1,000,000,000"):
        record.read({"prices": [{"usd": "2.5"}, {"usd": amount}]}, Priced, "here")


def test_an_amount_of_money_that_can_be():
    read = record.read({"prices": [{"usd": "0"}, {"usd": 3}, {}]}, Priced, "here")
    assert [one.usd for one in read.prices] == [Decimal(0), Decimal(3), None]


KINDS = {
    Adapter: "adapter",
    ApiKey: "api_key",
    Check: "watch_check",
    Comparison: "comparison",
    Dataset: "dataset",
    Evaluation: "evaluation",
    FileRoute: "file_route",
    Fit: "fit",
    Freeze: "freeze",
    MeasuredSpeed: "measured_speed",
    ParityReport: "parity",
    QuantLosses: "quant_losses",
    Report: "report",
    Rollout: "rollout",
    Ruling: "ruling",
    ServePlan: "serve_plan",
    Verdict: "verdict",
}
"""As databases of released versions have them."""


def test_kinds_stay_what_they_are_and_ids_ignore_the_order_of_keys():
    assert {record: record.kind for record in KINDS} == KINDS
    assert len(set(KINDS.values())) == len(KINDS)
    assert content_id({"a": 1, "b": [2]}) == content_id({"b": [2], "a": 1})
    assert re.fullmatch(r"[0-9a-f]{32}", content_id("x"))


@given(st.integers(0, (1 << 48) - 2))
def test_event_ids_are_uuid7_and_sort_by_time(unix_ms):
    first, later = event_id(unix_ms), event_id(unix_ms + 1)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert first < later
