"""What a call is, what it may cost, where it may reach, what it shows and how it is told."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import jsonschema
import msgspec
import pytest

from freehold.agents.mcp.calling import MOST_CHARACTERS, MOST_ITEMS, AgentLimits, AgentServer, document
from freehold.agents.mcp.limits import (
    AgentBudget,
    CallRate,
    FloodError,
    OutsideError,
    OverBudgetError,
    Places,
)
from freehold.agents.mcp.server import AgentProgress
from freehold.agents.mcp.tools import TOOLS
from freehold.errors import UsageError
from freehold.types.audit import change_source
from freehold.types.progress import Silent
from freehold.types.record import Record


def test_a_call_is_understood_or_refused_with_what_it_takes(agent):
    asked = agent.understand("plan_power", {"margin": 0.02})
    assert asked.arguments.margin == 0.02 and asked.tool.name == "plan_power"
    with pytest.raises(UsageError, match="there is no tool plan_powr") as caught:
        agent.understand("plan_powr", {})
    assert caught.value.hint == "did you mean plan_power?"
    with pytest.raises(UsageError, match="missing required field margin") as caught:
        agent.understand("plan_power", {})
    assert "its arguments: margin, n" in caught.value.hint


def test_the_code_is_not_part_of_what_is_confirmed(agent):
    plain = agent.understand("migrate", {})
    assert plain.id == agent.understand("migrate", {"confirmation": "X", "fresh": False}).id
    assert plain.id != agent.understand("migrate", {"fresh": True}).id


def test_changes_carry_the_tool_they_came_through(folder, monkeypatch):
    seen = []
    tool = TOOLS["plan_power"]._replace(call=lambda call, asked: seen.append(change_source.get()))
    agent = AgentServer(folder, {"plan_power": tool}, AgentLimits())
    agent.run(agent.understand("plan_power", {"margin": 0.1}), Silent())
    assert seen[0].endswith(": mcp plan_power") and change_source.get() is None


def test_the_project_is_read_again_for_each_call(folder, agent, use):
    path = folder / "freehold.toml"
    assert use("list_retirements")["list"] == []
    path.write_text(path.read_text().replace("rented-1", "gpt-4-0613"))
    assert use("list_retirements")["list"][0]["model"] == "gpt-4-0613"


def test_calls_are_taken_at_a_rate():
    clock = [0.0]
    rate = CallRate(60, lambda: clock[0])
    for _ in range(60):
        rate.take()
    with pytest.raises(FloodError, match="more than 60 calls a minute") as caught:
        rate.take()
    assert caught.value.retryable and "wait 1 s" in caught.value.hint
    clock[0] = 2.0
    rate.take()
    rate.take()
    with pytest.raises(FloodError):
        rate.take()
    clock[0] = 10_000.0
    for _ in range(60):
        rate.take()
    with pytest.raises(FloodError):
        rate.take()


def test_a_budget_is_taken_before_it_is_spent_and_what_was_not_comes_back():
    budget = AgentBudget(100, Decimal(5))
    budget.take(60, Decimal(2), "freezing")
    with pytest.raises(OverBudgetError, match="freezing would send 60 requests, 40 are left"):
        budget.take(60, Decimal(1), "freezing")
    with pytest.raises(OverBudgetError, match=r"about \$4.00, \$3.00 are left"):
        budget.take(1, Decimal(4), "freezing")
    budget.give_back(50, Decimal(1))
    assert (budget.requests, budget.usd) == (90, Decimal(4))
    budget.give_back(-10, Decimal(-1))
    assert (budget.requests, budget.usd) == (90, Decimal(4)), "what was overspent is not given back"


def test_a_price_that_is_not_known_fits_no_budget():
    budget = AgentBudget(100, Decimal(5))
    with pytest.raises(OverBudgetError, match="not known here"):
        budget.take(1, None, "freezing")
    assert budget.requests == 100
    budget.take(0, None, "freezing what is frozen")


@pytest.fixture
def places(tmp_path):
    root = tmp_path / "project"
    (root / "logs").mkdir(parents=True)
    (root / "logs" / "a.jsonl").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "project-next").mkdir()
    return Places(root)


def test_inside_is_absolute_and_found(places):
    assert places.inside("logs/a.jsonl") == places.root / "logs" / "a.jsonl"
    assert places.inside(".") == places.root
    assert places.inside(str(places.root / "not-yet.jsonl")).name == "not-yet.jsonl"
    assert places.all_inside(["logs", "."]) == (places.root / "logs", places.root)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "/etc/passwd",
        "~/x",
        "logs/../../secret.txt",
        "../project-next",
        "a\0b",
        "~no.such.user/x",
        "a\ud800",
    ],
)
def test_outside_is_refused(places, name):
    with pytest.raises(OutsideError) as caught:
        places.inside(name)
    assert "secret\n" not in caught.value.message


def test_a_link_counts_as_where_it_leads(places):
    (places.root / "link").symlink_to(places.root.parent)
    with pytest.raises(OutsideError, match="outside the project's folder"):
        places.inside("link/secret.txt")


def test_folders_that_the_user_allowed(places):
    wider = Places(places.root, [places.root.parent / "project-next"])
    assert wider.inside("../project-next/x").name == "x"
    with pytest.raises(OutsideError):
        wider.inside("../secret.txt")


def test_machines_are_words_or_files_inside(places):
    assert places.machine(None) is None
    assert places.machine("2x H100") == "2x H100"
    assert places.machine("machine.toml") == str(places.root / "machine.toml")
    with pytest.raises(OutsideError):
        places.machine("../machine.toml")


def test_work_that_is_not_waited_for_ends_at_its_next_sign_of_life():
    progress = AgentProgress(lambda number, text: None)
    progress.close()
    for told in (lambda: progress.step("x"), lambda: progress.update(1, 2), lambda: progress.say("x")):
        with pytest.raises(KeyboardInterrupt):
            told()


class Seen(Record, frozen=True, kw_only=True):
    at: datetime
    usd: Decimal
    disagreements: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


def test_records_lists_and_values_are_objects():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal("1.50"))
    assert document(seen) == {"at": "2026-11-29T00:00:00Z", "usd": "1.50", "disagreements": [], "rows": []}
    assert document([seen])["list"][0]["usd"] == "1.50"
    assert document(None) == {"value": None}


def test_words_of_traffic_are_left_out_unless_the_user_allows_them():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal(1), disagreements=("my number is 4711",))
    made = document({"candidates": [seen]})
    assert "4711" not in str(made)
    assert "--with-words" in made["left_out"]["candidates[0].disagreements"]
    assert document(seen, with_words=True)["disagreements"] == ["my number is 4711"]


def test_what_is_long_is_cut_and_said():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal(1), rows=tuple(range(100)))
    made = document(seen)
    assert made["rows"] == list(range(MOST_ITEMS)) and made["left_out"] == {"rows": "60 of 100"}
    assert len(document({"text": "x" * 10_000})["text"]) == MOST_CHARACTERS


@pytest.mark.parametrize("name", TOOLS)
def test_schemas_are_valid_and_whole(name):
    schema = TOOLS[name].input_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    for reference in [one for one in json.dumps(schema).split('"') if one.startswith("#/")]:
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_what_a_schema_takes_is_what_a_call_takes():
    tool = TOOLS["compare_scores"]
    right = {"pairs": [[1, 0], [None, 1]], "margin": 0.1}
    jsonschema.validate(right, tool.input_schema())
    assert msgspec.convert(right, tool.arguments).pairs == [[1.0, 0.0], [None, 1.0]]
    for wrong in ({"pairs": [[1]], "margin": 0.1}, {"pairs": [[1, 0]], "margin": 1}, {"margn": 0.1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, tool.input_schema())
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, tool.arguments)
