"""Tools that move traffic and keep a project: each asks, and none goes around the tests of a rollout."""

import json

import pytest

from freehold.agents.mcp.tools import TOOLS
from freehold.errors import FreeholdError, UsageError


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
