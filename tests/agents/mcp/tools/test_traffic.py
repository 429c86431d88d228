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
    assert "mirror the traffic of route inbox" in question("rollout_begin", candidate="local-model")
    assert use("rollout_begin", candidate="local-model")["state"] == "shadow"
    assert use("rollout_status")["missing"]
    for name in ("rollout_advance", "rollout_promote"):
        with pytest.raises(UsageError, match="not yet: "):
            question(name)
        with pytest.raises(UsageError, match="not yet: "):
            use(name)
    assert use("rollout_pause", why="lunch")["state"] == "paused"
    assert "next larger share of route inbox" in question("rollout_advance"), "mirroring is taken up again"
    assert use("rollout_advance")["rollout"]["state"] == "shadow"
    assert "roll back" in question("rollout_roll_back") and use("rollout_roll_back")["state"] == "rolled_back"
    with pytest.raises(UsageError, match="is over"):
        question("rollout_advance")
    assert {entry["source"].split()[-1] for entry in use("read_audit", action="rollout")["list"]} == {
        "rollout_begin", "rollout_pause", "rollout_advance", "rollout_roll_back",
    }  # fmt: skip
    assert use("list_checks") == {"list": []}


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
    assert "applications get no answers" in question("stop_gateway") and "in the background" in question(
        "start_gateway"
    )
    with pytest.raises(UsageError):
        use("stop_gateway")


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
    foreseen = use("preview_forget", conversation="c3")
    assert foreseen["traces"] == 1
    assert question("forget", conversation="c3").startswith("delete for good: 1 traces")
    assert use("forget", conversation="c3")["traces"] == 1
    with pytest.raises(UsageError, match="nothing here is of that conversation"):
        use("preview_forget", conversation="c3")
    for wrong in ({}, {"user": "a", "trace": "b"}):
        with pytest.raises(UsageError, match="in one way"):
            use("forget", **wrong)


def test_the_store_is_checked_and_backed_up(folder, use):
    use("import_traffic")
    assert use("check_store")["problems"] == []
    assert use("back_up_store")["file"].startswith(str(folder / ".freehold" / "backups"))
