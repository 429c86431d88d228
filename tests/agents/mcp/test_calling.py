"""What a call is, what it may cost, where it may reach, what it shows and how it is told."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click
import jsonschema
import msgspec
import pytest

from freehold.agents.mcp.answers import COMMANDS, FOR_PEOPLE, FULL_BYTES, MOST_BYTES, Answers
from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.confirming import LASTS, TRIES, Confirmations, call_id
from freehold.agents.mcp.server import AgentProgress
from freehold.agents.mcp.tool import AgentBudget, CallRate, FloodError, OutsideError, OverBudgetError, Places
from freehold.agents.mcp.tools import TOOLS
from freehold.cli.main import COMMANDS as CLI
from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.types.audit import change_source
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


def test_changes_carry_the_tool_they_came_through(folder, monkeypatch):
    seen = []
    tool = TOOLS["plan_power"]._replace(call=lambda call, asked: seen.append(change_source.get()))
    agent = AgentServer(folder, {"plan_power": tool}, AgentLimits())
    agent.run(agent.understand("plan_power", {"margin": 0.1}), Silent())
    assert seen[0].endswith(": mcp plan_power") and change_source.get() is None


def test_the_project_is_read_again_for_each_call(folder, agent, use):
    path = folder / "freehold.toml"
    assert use("read", kind="retirements")["list"] == []
    path.write_text(path.read_text().replace("rented-1", "gpt-4-0613"))
    assert use("read", kind="retirements")["list"][0]["model"] == "gpt-4-0613"


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


def test_places_outside_are_reached_by_no_link_or_machine_and_only_where_allowed(places):
    (places.root / "link").symlink_to(places.root.parent)
    with pytest.raises(OutsideError, match="outside the project's folder"):
        places.inside("link/secret.txt")
    wider = Places(places.root, [places.root.parent / "project-next"])
    assert wider.inside("../project-next/x").name == "x"
    with pytest.raises(OutsideError):
        wider.inside("../secret.txt")
    assert places.machine(None) is None
    assert places.machine("2x H100") == "2x H100"
    assert places.machine("machine.toml") == str(places.root / "machine.toml")
    with pytest.raises(OutsideError):
        places.machine("../machine.toml")


def test_work_that_is_not_waited_for_ends_at_its_next_sign_of_life():
    progress = AgentProgress(lambda *said: None)
    progress.close()
    for told in (lambda: progress.step("x"), lambda: progress.update(1, 2), lambda: progress.say("x")):
        with pytest.raises(KeyboardInterrupt):
            told()


class Seen(Record, frozen=True, kw_only=True):
    at: datetime
    usd: Decimal
    disagreements: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


def size(made):
    return len(msgspec.json.encode(made))


def id_in(made):
    return made["more"].split('"')[3]


def test_records_lists_and_values_are_objects():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal("1.50"))
    document = Answers().document
    assert document(seen) == {"at": "2026-11-29T00:00:00Z", "usd": "1.50", "disagreements": [], "rows": []}
    assert document([seen])["list"][0]["usd"] == "1.50"
    assert document(
        {"a": None, "b": [None, 0.5206284223141956, 1764631516.25, 1.23456789e-7, float("nan")]}
    ) == {"b": [None, 0.520628, 1764631516.0, 1.23457e-7, None]}


def test_words_of_traffic_are_left_out_unless_the_user_allows_them():
    seen = Seen(at=datetime(2026, 11, 29, tzinfo=UTC), usd=Decimal(1), disagreements=("my number is 4711",))
    made = Answers().document({"candidates": [seen]})
    assert "4711" not in str(made)
    assert "--with-words" in made["left_out"]["candidates[].disagreements"] and "more" not in made
    assert Answers(with_words=True).document(seen)["disagreements"] == ["my number is 4711"]
    long = {"candidates": [seen], "rows": ["x" * 100] * 100}
    answers = Answers()
    assert "4711" not in str(answers.kept(id_in(answers.document(long)))), "nor in what is kept"


def test_what_is_long_is_cut_from_the_largest_on_and_read_on_by_its_path():
    rows = [{"name": f"row {n}", "text": "x" * 80} for n in range(100)]
    record = {
        "sentence": "short",
        "rows": rows,
        "page": "y" * 9_000,
        "deep": {"verdict": "hold", "notes": ["z" * 50] * 99},
    }
    answers = Answers()
    made = answers.document(record)
    assert size(made) <= MOST_BYTES < size(record)
    assert made["sentence"] == "short" and made["deep"]["verdict"] == "hold", "what is small stays whole"
    assert made["rows"] == rows[: len(made["rows"])], "entries are whole"
    shown = len(made["rows"])
    assert made["left_out"]["rows"] == f"{100 - shown} of 100"
    assert set(made["left_out"]) == {"rows", "page", "deep.notes"}
    assert made["more"].startswith('read(kind="answer", id="')
    kept = answers.kept(id_in(made))
    assert answers.document(kept, part="rows[40:43]") == {"list": rows[40:43]}
    assert answers.document(kept, part="rows[-1].name") == {"value": "row 99"}
    assert answers.document(kept, full=True) == record
    assert answers.document(kept, part="rows")["more"] == made["more"], "the same answer is kept once"
    with pytest.raises(UsageError, match=r"rows\[100\]") as caught:
        answers.document(kept, part="rows[100]")
    with pytest.raises(UsageError, match="nothing at verdict") as caught:
        answers.document(kept, part="verdict")
    assert caught.value.hint == "there are: sentence, rows, page, deep"


@pytest.mark.parametrize(
    "value",
    [
        ["x" * 300_000],
        {"é" * n: "ü" * 3_000 for n in range(1, 60)},
        [[{"a": "b" * n} for n in range(400)] for _ in range(9)],
        {f"name {n}": n / 7 for n in range(30_000)},
    ],
    ids=["text", "letters of two bytes", "nested", "many names"],
)
def test_no_answer_is_longer_than_asked_for(value):
    assert size(Answers().document(value)) <= MOST_BYTES
    assert size(Answers().document(value, full=True)) <= FULL_BYTES


def test_an_answer_speaks_of_tools_and_of_commands_only_where_there_is_none(agent):
    for told, said in {
        "freehold rollout start begins one": 'move_traffic(kind="begin") begins one',
        "name it: --incumbent gpt-4o, or --license ID": "name it: incumbent gpt-4o, or declared ID",
        "`freehold migrate --dry-run` tells": "`check_migration` tells",
        "freehold fit PATH --quant Q4_K_M": "check_fit PATH quantization Q4_K_M",
        "wait for it, or stop it: kill 4711": "wait for it, or cancel it there",
        "freehold license init asks": "in a terminal: freehold license init asks",
        "`freehold models pull M` gets it": "in a terminal: `freehold models pull M` gets it",
        "freehold evaluate --endpoint URL --model M": "in a terminal: freehold evaluate --endpoint URL --model M",
        "freehold train --max-minutes 5": 'run_step(kind="train") max_minutes 5',
        "`freehold report --open`": '`read(kind="report")`',
        "freehold mcp --with-words --max-requests 5": "freehold mcp --with-words --max-requests 5",
    }.items():
        assert agent.say(told) == said
    looks = AgentServer(agent.root, {"read": TOOLS["read"]}, AgentLimits())
    assert (
        looks.say("freehold status, freehold migrate")
        == 'read(kind="status"), in a terminal: freehold migrate'
    )


def test_the_words_are_of_commands_and_tools_that_there_are():
    assert set(CLI) - {"mcp"} <= {*COMMANDS, *FOR_PEOPLE}, "each is put into words"
    for command, said in COMMANDS.items():
        found, *rest = command.split()
        assert found in CLI, command
        group = cli.get_command(click.Context(cli), found)
        if rest and not rest[0].startswith("--"):
            assert rest[0] in group.commands, command
        name, _, kind = said.partition("(")
        argument, _, value = kind.rstrip(")").partition("=")
        given = {argument: json.loads(value)} if kind else {}
        assert set(given) <= set(TOOLS[name].arguments.__struct_fields__), said
        if argument == "kind":
            msgspec.convert(given, TOOLS[name].arguments)


def test_an_argument_of_another_kind_is_refused(use):
    with pytest.raises(UsageError, match="status takes no id"):
        use("read", kind="status", id="x")
    with pytest.raises(UsageError, match="freeze takes no max_minutes"):
        use("run_step", kind="freeze", max_minutes=3)


def test_progress_goes_up_and_has_a_total_where_the_work_knows_one():
    told, clock = [], iter(range(100))
    progress = AgentProgress(lambda *said: told.append(said), lambda: next(clock))
    progress.step("[1] read")
    progress.update(10, 40, unit="rows")
    progress.update(40, 40, unit="rows")
    progress.update(5, None, unit="texts")
    progress.say("half of it")
    progress.step("[2] train")
    progress.update(3, 200, unit="steps")
    assert told == [
        (1, None, "[1] read"),
        (11, 41, "[1] read: 10 of 40 rows"),
        (41, 41, "[1] read: 40 of 40 rows"),
        (46, None, "[1] read: 5 texts"),
        (47, None, "half of it"),
        (48, None, "[2] train"),
        (51, 248, "[2] train: 3 of 200 steps"),
    ]


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


NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
CALL = call_id("move_traffic", {"kind": "promote", "route": None, "why": "", "confirmation": None})


@pytest.fixture
def desk(tmp_path):
    return Confirmations(tmp_path / "mcp")


def asked(desk):
    return desk.ask("move_traffic", CALL, "move all traffic", at=NOW)


def test_a_code_lets_the_same_call_through_once(desk):
    code = desk.approve(asked(desk))
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", code)
    desk.redeem(CALL, f" {code.lower()} ", at=NOW)
    with pytest.raises(UsageError, match="it was used"):
        desk.redeem(CALL, code, at=NOW)


def test_a_code_is_for_one_tool_with_one_set_of_arguments(desk):
    code = desk.approve(asked(desk))
    other = call_id("move_traffic", {"kind": "promote", "route": "other", "why": ""})
    assert (
        other
        != CALL
        == call_id("move_traffic", {"kind": "promote", "route": None, "why": "", "confirmation": "X"})
    )
    with pytest.raises(UsageError, match="the arguments differ"):
        desk.redeem(other, code, at=NOW)
    desk.redeem(CALL, code, at=NOW)


def test_nothing_is_let_through_before_the_user_agreed_or_after_they_did_not(desk):
    request = asked(desk)
    with pytest.raises(UsageError, match="not the code"):
        desk.redeem(CALL, "2222-2222", at=NOW)
    desk.refuse(request)
    with pytest.raises(UsageError):
        desk.redeem(CALL, "2222-2222", at=NOW)


def test_codes_are_not_guessed_and_get_too_old(desk):
    code = desk.approve(asked(desk))
    with pytest.raises(UsageError, match="too old"):
        desk.redeem(CALL, code, at=NOW + LASTS + timedelta(seconds=1))
    code = desk.approve(asked(desk))
    for _ in range(TRIES):
        with pytest.raises(UsageError, match="not the code"):
            desk.redeem(CALL, "2222-2222", at=NOW)
    with pytest.raises(UsageError, match="used"):
        desk.redeem(CALL, code, at=NOW)


def test_the_folder_does_not_hold_the_code_and_others_do_not_read_it(desk, tmp_path):
    code = desk.approve(asked(desk))
    (file,) = (tmp_path / "mcp").glob("*.json")
    assert code.replace("-", "") not in file.read_text() and code not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600 and (tmp_path / "mcp").stat().st_mode & 0o777 == 0o700


def test_the_same_call_waits_once_and_odd_files_are_passed_over(desk, tmp_path):
    assert asked(desk).id == asked(desk).id
    (tmp_path / "mcp" / "odd.json").write_text("{")
    (tmp_path / "mcp" / "other.json").write_text(json.dumps({"id": 1}))
    assert [one.what for one in desk.waiting(at=NOW)] == ["move all traffic"]
    assert Confirmations(tmp_path / "none").waiting() == []
