import re

from hypothesis import given
from hypothesis import strategies as st

from freehold.types.choosing import QuantLosses
from freehold.types.dataset import Dataset
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import Evaluation, Freeze
from freehold.types.evaluation import Comparison
from freehold.types.gates import ParityReport
from freehold.types.license import Ruling
from freehold.types.machine import Fit, MeasuredSpeed
from freehold.types.record import content_id, event_id
from freehold.types.report import Report
from freehold.types.rollout import Check, Rollout
from freehold.types.route import ApiKey, FileRoute, Route, Target
from freehold.types.serving import LoadReport
from freehold.types.training import Adapter
from freehold.types.verdict import Verdict

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
    LoadReport: "load_report",
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


def test_kinds_stay_what_they_are_and_no_two_records_share_one():
    assert {record: record.kind for record in KINDS} == KINDS
    assert len(set(KINDS.values())) == len(KINDS)


def test_keys_are_ids_where_nothing_else_tells_records_apart():
    verdict = Verdict(id="v1", outcome="hold", candidate="open", incumbent="gpt", reasons=())
    assert verdict.key == "v1"
    assert ApiKey(name="app", hash="x").key == "app"
    route = Route(name="support", model="*", incumbent=Target(endpoint="a"))
    assert FileRoute(route=route).key == "support"
    plan = ServePlan(engine="echo", model="m")
    assert plan.key == content_id(plan)


def test_a_kind_is_not_part_of_the_content():
    assert "kind" not in ApiKey.__struct_fields__


def test_content_id_ignores_key_order():
    assert content_id({"a": 1, "b": [2]}) == content_id({"b": [2], "a": 1})
    assert re.fullmatch(r"[0-9a-f]{32}", content_id("x"))


@given(st.integers(0, (1 << 48) - 2))
def test_event_ids_are_uuid7_and_sort_by_time(unix_ms):
    first, later = event_id(unix_ms), event_id(unix_ms + 1)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert first < later
