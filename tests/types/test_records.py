"""Records that decide: what their ids are of, and how they end."""

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.deferral_rules import one_tier as rule

from freehold.errors import UsageError
from freehold.types.dataset import Message, RecordedAsking
from freehold.types.deferral import Calibration, DeferralRule, RouterFiles
from freehold.types.encoder import VIEWS, texts_of
from freehold.types.endpoint import AdapterMount, Endpoint, ExampleIndex, Preparation, ServedModel, ServePlan
from freehold.types.license import Obligation, duty_id
from freehold.types.report import CandidateReport
from freehold.types.route import Limits


def test_what_a_request_said_is_kept_and_what_the_api_would_not_take_is_not():
    request = {
        "model": "m",
        "messages": [],
        "temperature": 0,
        "top_p": None,
        "max_completion_tokens": 7,
        "stop": "x",
        "seed": "many",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }
    said = RecordedAsking.of(request)
    assert said == RecordedAsking(
        temperature=0.0,
        max_tokens=7,
        stop="x",
        tool_choice=request["tool_choice"],
        parallel_tool_calls=False,
    )
    assert list(said.said) == ["temperature", "max_tokens", "stop", "tool_choice", "parallel_tool_calls"]
    assert RecordedAsking.of({"max_tokens": 5, "max_completion_tokens": 7}).max_tokens == 5


DUTY = Obligation(key="attribution", license_id="x", section="1", text="name it")


def test_whatever_a_duty_says_is_part_of_its_id():
    others = [
        msgspec.structs.replace(DUTY, **{name: "else"})
        for name in ("key", "section", "text", "value", "model")
    ]
    ids = {duty_id("m", one) for one in (DUTY, *others)} | {duty_id("n", DUTY)}
    assert len(ids) == 7 and duty_id("m", msgspec.structs.replace(DUTY)) == duty_id("m", DUTY)


def said(role, content):
    return Message(role=role, content=content)


TALK = (
    said("system", "Name the intent.\n\n  Plan: paid "),
    said("user", " my card "),
    said("assistant", "which?"),
    said(
        "user",
        [{"type": "text", "text": "the blue one"}, {"type": "image_url"}, {"type": "text", "text": "!"}],
    ),
)


def test_the_views_of_a_conversation_and_what_varies_of_its_system_prompt():
    assert texts_of(TALK, system_lines=("Name the intent.",)) == ("the blue one\n!\nPlan: paid",)
    turns = [
        ("user", "1"),
        ("assistant", "2"),
        ("user", "3"),
        ("assistant", "4"),
        ("user", "5"),
        ("assistant", "6"),
    ]
    talk = [Message(role=role, content=text) for role, text in turns]
    assert texts_of(talk, VIEWS) == ("5", "4", "1\n3")
    assert texts_of(talk[:1], VIEWS) == ("1", "", "")
    assert texts_of([], VIEWS) == ("", "", "")


def test_adapters_bring_the_template_they_were_taught_with():
    plan = ServePlan(engine="llamacpp", model="m", options={"chat_template": "base's", "batch": 64})
    plain = AdapterMount(name="m:a", path="a.gguf")
    taught = AdapterMount(name="m:b", path="b.gguf", chat_template="with calls")
    assert plan.with_adapters((plain,)).options == plan.options
    both = plan.with_adapters((plain, taught))
    assert both.options == {"chat_template": "with calls", "batch": 64}
    assert both.adapters == (plain, taught)
    other = AdapterMount(name="m:c", path="c.gguf", chat_template="otherwise")
    with pytest.raises(UsageError, match="m:b and m:c were trained with different chat templates"):
        plan.with_adapters((taught, other))


def test_what_answers_has_an_id_that_only_what_decides_changes():
    plan = ServePlan(
        engine="llamacpp", model="m", weights_sha256="w", adapters=(AdapterMount(name="m:a", path="a"),)
    )
    same = {"threads": 3, "parallel": 9, "port": 7, "weights_path": "/elsewhere", "host": "::1"}
    assert replace(plan, **same).candidate_id() == plan.candidate_id() == plan.candidate_id("m:a")
    others = ({"weights_sha256": "x"}, {"options": {"batch": 2}}, {"kv_type": "q8_0"}, {"labels": ("a",)})
    ids = {
        plan.candidate_id(),
        plan.candidate_id("m"),
        *(replace(plan, **one).candidate_id() for one in others),
    }
    assert len(ids) == 6


def test_a_model_that_others_serve_is_known_by_its_address_and_name():
    known = ServedModel(name="own", upstream_name="own", candidate_id="c1")
    endpoint = Endpoint(name="e", engine="remote", base_url="http://x", models=(known,))
    assert endpoint.candidate_id("own") == "c1"
    ids = {
        endpoint.candidate_id("m"),
        endpoint.candidate_id("n"),
        replace(endpoint, base_url="http://y").candidate_id("m"),
    }
    assert len(ids) == 3
    assert replace(endpoint, name="other").candidate_id("m") in ids, "what it is called here decides nothing"


INDEX = ExampleIndex(path="/a", sha256="s", samples=9, k=4)
MADE = Preparation.of(base_model="b", dataset_id="d", system="r", examples=INDEX, made_from=("x",))


def test_the_id_is_of_what_changes_a_request_not_of_where_it_lies():
    def other(**fields):
        index = msgspec.structs.replace(INDEX, **fields)
        return Preparation.of(base_model="b", dataset_id="d", system="r", examples=index)

    assert other().id == other(path="/b").id == MADE.id
    assert MADE.id not in {other(k=2).id, other(sha256="t").id, other(order="nearest_first").id}
    assert Preparation.of(base_model="b", dataset_id="d", system="other").id != MADE.id


@pytest.mark.parametrize(
    ("limits", "counts", "caps"),
    [
        (Limits(), False, False),
        (Limits(requests_per_minute=1), False, False),
        (Limits(tokens_per_minute=1), True, False),
        (Limits(usd_per_day=Decimal(1)), True, True),
        (Limits(usd_per_month=Decimal(0)), True, True),
    ],
)
def test_money_and_tokens_need_what_an_answer_used(limits, counts, caps):
    assert (limits.counts_tokens, limits.caps_spending) == (counts, caps)


@pytest.mark.parametrize("number", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "1E+999"])
def test_money_that_is_no_number_is_a_problem(number):
    assert "usd_per_day" in Limits(usd_per_day=Decimal(number)).problem
    assert "usd_per_month" in Limits(usd_per_month=Decimal(number)).problem


def test_counts_have_a_largest_and_usual_limits_no_problem():
    assert "requests_per_minute" in Limits(requests_per_minute=10**400).problem
    assert "wait_ms" in Limits(wait_ms=float("inf")).problem
    assert (
        Limits(concurrency=0, wait_ms=2000, usd_per_day=Decimal("0.5"), tokens_per_minute=10**9).problem
        is None
    )


def test_a_candidate_is_called_by_what_tells_it_apart():
    made = CandidateReport(model="org/a", method="lora", endpoint="house", name="rank 4")
    assert made.label == "org/a · lora at house (rank 4)"
    assert CandidateReport(model="org/a").label == "org/a"


STEPS = Calibration(raw=(-2.0, -1.0, -1.0, 0.0), probability=(0.1, 0.3, 0.6, 0.9))


@pytest.mark.parametrize(
    ("value", "probability"),
    [
        (-math.inf, 0.1), (-5.0, 0.1), (-2.0, 0.1), (-1.5, 0.2), (-1.0, 0.3), (-0.5, 0.75), (0.0, 0.9), (7.0, 0.9),
        (math.nan, 0.1),
    ],
)  # fmt: skip
def test_a_signal_between_the_points(value, probability):
    assert STEPS(value) == pytest.approx(probability)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_higher_signal_is_never_less_sure(one, other):
    low, high = sorted((one, other))
    assert STEPS(low) <= STEPS(high)


def test_a_rules_id_is_what_it_decides_by_also_when_it_is_read_back():
    assert rule().id == rule(mixture_id="m").id
    assert len({one.id for one in (rule(), rule(threshold=0.9), rule(identity="c2"))}) == 3
    here, there = (rule(router=RouterFiles(path=path, sha256="s")) for path in ("/a", "/b"))
    assert here.id == there.id
    assert msgspec.json.decode(msgspec.json.encode(here), type=DeferralRule) == here
    made = rule(wait_ms=300, threshold=1)
    assert (
        made.problem is None
        and msgspec.json.decode(msgspec.json.encode(made), type=DeferralRule).problem is None
    )
    with pytest.raises(msgspec.ValidationError, match="signal"):
        rule(signal="oracle")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"calibration": Calibration(raw=(), probability=())}, "no points"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.5,))}, "not as many"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.5, 1.5))}, "not probabilities"),
        ({"calibration": Calibration(raw=(1.0, 0.0), probability=(0.5, 0.6))}, "ascend"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.6, 0.5))}, "ascend"),
        ({"threshold": -0.1}, "threshold"),
        ({"wait_ms": 0}, "wait_ms"),
        ({"signal": "router"}, "names none"),
        ({"signal": None}, "first tier"),
        ({"calibration": None}, "without calibration"),
    ],
)
def test_what_cannot_decide_says_why(changed, why):
    assert why in rule(**changed).problem


def test_a_rule_of_an_older_form_or_changed_after_its_proof_says_so():
    old = (
        b'{"id":"x","way":"cascade","signal":"probability","calibration":{"raw":[0],"probability":[0]},'
        b'"threshold":0.5,"candidate":"small","candidate_id":"c","incumbent":"m","incumbent_down":"error"}'
    )
    made = msgspec.json.decode(old, type=DeferralRule)
    assert "older version" in made.problem and made.candidate.model == "" and made.upper is None
    assert rule().problem is None
    assert "changed after" in msgspec.structs.replace(rule(), threshold=0.1).problem
