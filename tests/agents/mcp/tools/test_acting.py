"""Tools that make a project of a log, prove, move traffic and keep a project."""

import json
from decimal import Decimal

import pytest
from tests.gateway.loopback import ANSWER, FakeUpstream, plain, stream

from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.tool import OutsideError, OverBudgetError
from freehold.agents.mcp.tools import TOOLS
from freehold.errors import FreeholdError, UsageError
from freehold.progress import Silent


def test_from_a_log_to_a_dataset(use):
    (read,) = use("import_traffic")["list"]
    assert read["new"] == 400
    assert use("import_traffic", files=["traffic.jsonl"])["list"][0]["new"] == 0
    assert use("read", kind="dataset")["splits"]
    built = use("make", kind="dataset")
    assert sum(split["samples"] for split in built["splits"]) == 400
    assert use("make", kind="dataset")["id"] == built["id"]


def test_a_draft_never_takes_the_place_of_a_file_that_is_there(folder, use):
    before = (folder / "freehold.toml").read_text()
    with pytest.raises(UsageError, match=r"freehold.toml"):
        use("draft_project", files=["traffic.jsonl"])
    assert (folder / "freehold.toml").read_text() == before
    (folder / "freehold.toml").unlink()
    draft = use("draft_project", files=["traffic.jsonl"], incumbent="gpt-4o")
    assert draft["path"] == str(folder / "freehold.toml")


def test_words_of_rejected_lines_are_left_out(folder, use):
    (folder / "odd.jsonl").write_text('{"message": "my number is 4711", "gold": {"x": 1}\n' * 3)
    with pytest.raises(UsageError):
        use("import_traffic", files=["gone.jsonl"])
    made = use("import_traffic", files=["odd.jsonl"])
    assert "4711" not in json.dumps(made)


def test_a_fine_tuning_file_becomes_a_project_and_no_api_is_asked(folder, use):
    (folder / "freehold.toml").unlink()
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"lamp {n}"},
                {"role": "assistant", "content": "ab"[n % 2]},
            ]
        }
        for n in range(200)
    ]
    (folder / "tuning.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = use("prepare_rescue", file="tuning.jsonl", model="ft:gpt-4o-mini-2024-07-18:acme::abc123")
    assert made["samples"]["held_out"] and "asking" not in made


def answers(folder, name, right):
    rows = [{"id": str(n), "output": "yes" if n < right else "no", "gold": "yes"} for n in range(200)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_scores_of_a_file_and_of_values(folder, use):
    pairs = [[1, 1]] * 180 + [[1, 0]] * 5 + [[0, 1]] * 15
    (folder / "pairs.jsonl").write_text(
        "".join(json.dumps({"id": n, "a": a, "b": b, "part": "x"}) + "\n" for n, (a, b) in enumerate(pairs))
    )
    of_file = use("compare_scores", file="pairs.jsonl", margin=0.05, slices=["part"])
    of_values = use("compare_scores", pairs=pairs, margin=0.05)
    assert of_file["verdict"] == of_values["verdict"] == "promote" and of_file["slices"]


def test_two_files_of_answers_and_the_look_is_counted(folder, use):
    answers(folder, "a.jsonl", 180)
    answers(folder, "b.jsonl", 190)
    made = use(
        "evaluate_answers", incumbent_file="a.jsonl", candidate_file="b.jsonl", scorer="exact", margin=0.05
    )
    assert made["comparison"]["verdict"] == "promote" and made["comparison"]["look"]["number"] == 1
    assert made.get("disagreements", []) == [] and made["left_out"]["disagreements"]
    assert use("read", kind="evaluations")["list"][0]["verdict"] == "promote"


def test_questions_say_how_much_and_where_to(folder, use, question):
    path = folder / "freehold.toml"
    path.write_text(path.read_text().replace('"rented-1"', '"gpt-4o"\nbase_url = "http://127.0.0.1:1"'))
    with pytest.raises(FreeholdError):
        question("run_step", kind="freeze")  # there is no dataset yet: the user is not asked
    use("check_migration")
    said = question("run_step", kind="freeze", repeats=2)
    assert "requests to gpt-4o at http://127.0.0.1:1, about $" in said
    assert question("evaluate_served", url="http://127.0.0.1:8420", model="m", max_requests=20).startswith(
        "send up to 20 held-out samples to m"
    )
    for url in ("https://example.com", "ftp://127.0.0.1/", "http://localhost.evil.example/"):
        with pytest.raises(OutsideError):
            question("evaluate_served", url=url, model="m")
    assert all(question("run_step", kind=kind) for kind in ("train", "parity", "mixture"))


def test_what_reached_nothing_is_not_taken_out_of_the_budget(agent, use):
    use("check_migration")
    with pytest.raises(FreeholdError):  # nothing listens there
        use("evaluate_served", url="http://127.0.0.1:9", model="m", max_requests=30)
    assert (agent.budget.requests, agent.budget.usd) == (1_000, Decimal(5))
    with pytest.raises(OverBudgetError, match="would send 2,000 requests, 1,000 are left"):
        use("evaluate_served", url="http://127.0.0.1:9", model="m", max_requests=2_000)


PRICE = {"prompt": Decimal(1_000), "completion": Decimal(2_000)}
"""Dollars per million tokens."""
EACH_USD = Decimal("0.015")
"""Of an answer of the fake: 9 tokens in and 3 out."""


@pytest.fixture
def rented(folder):
    """A candidate behind an address that costs money: it answers the right label."""
    upstream = FakeUpstream()

    def label(seen):
        if seen.method == "GET":
            return plain({"object": "list", "data": [{"id": "big", "object": "model"}]})
        asked = seen.json["messages"][-1]["content"]
        message = {"role": "assistant", "content": "refund" if "refund" in asked else "lamp"}
        body = {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        events = [
            b'data: {"choices": [{"index": 0, "delta": %s, "finish_reason": "stop"}]}\n\n'
            % json.dumps(message).encode(),
            b'data: {"choices": [], "usage": %s}\n\n' % json.dumps(ANSWER["usage"]).encode(),
            b"data: [DONE]\n\n",
        ]
        return stream(events) if seen.json.get("stream") else plain(body)

    upstream.answer = label
    path = folder / "freehold.toml"
    before, _, _ = path.read_text().partition("[[candidates]]")
    path.write_text(
        f'{before}[[candidates]]\nmodel = "big"\nendpoint = "house"\n[[endpoints]]\nname = "house"\n'
        f'base_url = "{upstream.base_url}"\nmodels = ["big"]\n'
        f"price = {{ prompt = {PRICE['prompt']}, completion = {PRICE['completion']} }}\n"
    )
    yield upstream
    upstream.close()


def test_a_user_is_asked_about_what_is_left_which_is_never_below_nothing(agent, question):
    agent.budget.charge(agent.budget.usd + 1)
    assert "for $0.00 at most" in question("migrate")


def test_what_migrate_spends_is_taken_out_of_the_budget(agent, use, question, rented):
    assert "at most 1,000 to rented models and for $5.00 at most" in question("migrate")
    made = use("migrate")
    assert made["comparison"]["candidate_mean"] == 1.0 and "stopped" not in made["candidates"][0]
    asked = len(rented.seen)
    assert asked > 100
    assert agent.budget.requests == 1_000 - asked
    assert agent.budget.usd == 5 - asked * EACH_USD


@pytest.mark.parametrize("limits", [{"max_requests": 40}, {"budget_usd": Decimal("0.5")}], ids=str)
def test_migrate_ends_where_the_budget_does(folder, rented, limits):
    agent = AgentServer(folder, TOOLS, AgentLimits(calls_per_minute=10_000, **limits))
    with pytest.raises(OverBudgetError, match="a request to big at "):
        agent.run(agent.understand("migrate", {}), Silent())
    asked = len(rented.seen)
    assert 0 < asked <= 40 and asked * EACH_USD <= limits.get("budget_usd", 5)
    assert agent.budget.requests == limits.get("max_requests", 1_000) - asked
    assert agent.budget.usd == limits.get("budget_usd", 5) - asked * EACH_USD
    # With more to spend the same call goes on, and asks for nothing again.
    more = AgentServer(folder, TOOLS, AgentLimits(calls_per_minute=10_000))
    made = more.run(more.understand("migrate", {}), Silent())
    assert made["comparison"]["candidate_mean"] == 1.0
    assert more.budget.requests == 1_000 - (len(rented.seen) - asked)


def test_a_model_without_a_price_is_refused_before_anything_begins(folder, use, question, rented):
    path = folder / "freehold.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("price = ")))
    for ask in (question, use):
        with pytest.raises(OverBudgetError, match=r"asking the candidate big, big at .* is not known here"):
            ask("migrate")
    assert not rented.seen and not (folder / ".freehold" / "reports").exists()


@pytest.fixture
def routed(folder):
    path = folder / "freehold.toml"
    path.write_text(path.read_text().replace('"rented-1"', '"rented-1"\nbase_url = "http://127.0.0.1:1"'))
    return folder


def test_a_rollout_step_by_step(routed, use, question):
    assert "mirror the traffic of route inbox" in question(
        "move_traffic", kind="begin", candidate="local-model"
    )
    assert use("move_traffic", kind="begin", candidate="local-model")["state"] == "shadow"
    assert use("read", kind="rollout")["missing"]
    for kind in ("advance", "promote"):
        for asked in (question, use):
            with pytest.raises(UsageError, match="not yet: "):
                asked("move_traffic", kind=kind)
    assert use("move_traffic", kind="pause", why="lunch")["state"] == "paused"
    assert "next larger share of route inbox" in question("move_traffic", kind="advance"), (
        "mirroring is taken up again"
    )
    assert use("move_traffic", kind="advance")["rollout"]["state"] == "shadow"
    assert "roll back" in question("move_traffic", kind="roll_back")
    assert use("move_traffic", kind="roll_back")["state"] == "rolled_back"
    with pytest.raises(UsageError, match="is over"):
        question("move_traffic", kind="advance")
    entries = use("read", kind="audit", id="rollout")["list"]
    assert {entry["source"].partition(": ")[2] for entry in entries} == {
        f"mcp move_traffic {kind}" for kind in ("begin", "pause", "advance", "roll_back")
    }
    assert entries[0]["source"].endswith("roll_back") and entries[-1]["source"].endswith("begin"), (
        "newest first"
    )
    assert use("read", kind="audit", id="rollout", limit=1)["list"] == entries[:1]
    assert use("read", kind="checks") == {"list": []}


def test_no_tool_has_a_way_around_what_is_missing():
    for tool in TOOLS.values():
        assert not {"force", "without", "anyway"} & set(tool.arguments.__struct_fields__), tool.name


def test_what_is_spent_on_a_check_is_within_the_budget(routed, agent, use, question):
    assert "for up to $0.25" in question("watch_promoted", budget_usd=0.25)
    with pytest.raises(UsageError, match=r"\$6.00"):
        use("watch_promoted", budget_usd=6)
    with pytest.raises(FreeholdError):  # nothing is promoted
        use("watch_promoted")


def test_a_gateway_that_does_not_run_is_not_stopped(use, question):
    assert "applications get no answers" in question("gateway", kind="stop")
    assert "in the background" in question("gateway", kind="start")
    with pytest.raises(UsageError):
        use("gateway", kind="stop")


def test_a_deletion_is_told_before_it_is_asked_for(folder, use, question):
    rows = [
        {
            "request": {
                "model": "m",
                "user": f"u{n % 2}",
                "messages": [{"role": "user", "content": f"lamp {n}"}],
            },
            "response": {"choices": [{"message": {"role": "assistant", "content": "yes"}}]},
            "conversation_id": f"c{n}",
        }
        for n in range(20)
    ]
    (folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "freehold.toml"
    path.write_text(path.read_text().replace('format = "columns"\n', "").replace('input = "message"\n', ""))
    use("import_traffic", files=["people.jsonl"])
    foreseen = use("read", kind="deletion", id="conversation:c3")
    assert foreseen["traces"] == 1
    assert question("forget", id="conversation:c3").startswith("delete for good: 1 traces")
    assert use("forget", id="conversation:c3")["traces"] == 1
    with pytest.raises(UsageError, match="nothing here is of that conversation"):
        use("read", kind="deletion", id="conversation:c3")
    for wrong in ("c3", "user:", "everyone:all", ""):
        with pytest.raises(UsageError):
            use("forget", id=wrong)


def test_the_store_is_checked_and_backed_up(folder, use):
    use("import_traffic")
    assert use("read", kind="store")["problems"] == []
    assert use("make", kind="backup")["file"].startswith(str(folder / ".freehold" / "backups"))
