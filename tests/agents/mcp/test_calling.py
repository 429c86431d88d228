"""One call: what is understood, what it is confirmed by, and where it stands on the record."""

import pytest

from freehold.agents.mcp.calling import AgentLimits, AgentServer, confirmations_of, told
from freehold.agents.mcp.tools import TOOLS
from freehold.errors import InputError, UsageError
from freehold.types.audit import change_source
from freehold.types.progress import Silent


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


def test_confirmations_wait_in_the_state_folder(folder, monkeypatch, tmp_path):
    confirmations_of(folder).ask("migrate", "1", "run it")
    assert len(list((folder / ".freehold" / "mcp").glob("*.json"))) == 1
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "elsewhere"))
    assert confirmations_of(folder).waiting() == []


def test_errors_are_what_json_prints():
    assert told(InputError("broken", path="a.jsonl", line=3, hint="mend it"))["error"] == {
        "message": "a.jsonl:3: broken",
        "hint": "mend it",
        "code": "input",
        "retryable": False,
    }
