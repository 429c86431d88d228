"""Records that decide: what their ids are of, and how they end."""

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace
from tests.report import choosing
from tests.report import sample_report as sample
from tests.workflows.journey.rehearsal import trained

from freehold.errors import UsageError
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message, RecordedAsking
from freehold.types.encoder import VIEWS, texts_of
from freehold.types.endpoint import AdapterMount, Endpoint, ExampleIndex, Preparation, ServedModel, ServePlan
from freehold.types.license import Obligation, duty_id
from freehold.types.report import CandidateReport, Report
from freehold.types.route import Limits
from freehold.types.training import Adapter, TrainingResult, WholeModel, as_made
from freehold.types.verdict import Verdict


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


def test_what_varies_of_the_system_prompt_is_read_last():
    assert texts_of(TALK, system_lines=("Name the intent.",)) == ("the blue one\n!\nPlan: paid",)


def test_the_views_of_a_conversation():
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


@pytest.mark.parametrize(("outcome", "code"), [("promote", 0), ("reject", 1), ("hold", 3)])
def test_exit_codes_of_outcomes(outcome, code):
    assert Verdict(id="v", outcome=outcome, candidate="a", incumbent="b", reasons=()).exit_code == code


@pytest.mark.parametrize(
    ("method", "kind"),
    [("lora", Adapter), ("qlora", Adapter), ("full", WholeModel)],
)
def test_a_manifest_is_of_an_adapter_or_of_whole_weights(method, kind):
    read = trained(TrainingResult, "/a", "x", FinetuneConfig(method=method))
    made = as_made(read)
    assert type(made) is kind and made.is_whole == (kind is WholeModel)
    assert msgspec.structs.asdict(made) == msgspec.structs.asdict(read)


def test_a_manifest_survives_its_file():
    made = trained(WholeModel, "/a", "model.gguf", FinetuneConfig(method="full"))
    assert as_made(msgspec.json.decode(msgspec.json.encode(made), type=TrainingResult)) == made


def test_a_candidate_is_called_by_what_tells_it_apart():
    made = CandidateReport(model="org/a", method="lora", endpoint="house", name="rank 4")
    assert made.label == "org/a · lora at house (rank 4)"
    assert CandidateReport(model="org/a").label == "org/a"


def test_the_chosen_one_is_known_after_reading_as_well():
    report = choosing.report()
    read = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert read.choice == report.choice and read.chosen.model == choosing.CHOSEN
    assert sample.report(sample.candidate()).chosen is None
