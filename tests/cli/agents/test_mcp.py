"""`freehold mcp` as a person meets it; what it serves is in tests/agents/mcp."""

import re
import sys

import pytest
from tests.cli.conftest import on_a_terminal

from freehold.agents.mcp.confirming import Confirmations, call_id

pytestmark = pytest.mark.process

CALL = call_id("migrate", {"fresh": False})


def asked(project):
    desk = Confirmations(project / ".freehold" / "mcp")
    return desk, desk.ask("migrate", CALL, "run the whole journey of support here")


def test_it_does_not_speak_to_people(refused, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    refused("mcp", message="not to people", hint="claude mcp add")


def test_a_server_that_only_reads_has_no_other_tool(freehold, project, monkeypatch):
    servers = []
    monkeypatch.setattr("freehold.agents.mcp.opening.serve_stdio", lambda build: servers.append(build()))
    monkeypatch.setattr("freehold.agents.mcp.server.build", lambda agent, **options: agent)
    for options in ([], ["--read-only"]):
        freehold("mcp", *options)
    every, reading = servers
    assert reading.tools == {name: tool for name, tool in every.tools.items() if tool.effect == "reads"}
    assert "migrate" in every.tools and "read" in reading.tools


def test_a_program_cannot_confirm(refused, project, freehold):
    desk, request = asked(project)
    refused("mcp", "confirm", message="a confirmation needs a terminal")
    listed = freehold("mcp", "confirm", "--json").items
    assert [one["what"] for one in listed] == ["run the whole journey of support here"]
    assert desk.waiting()[0].code is None, "nothing was let through by looking"
    desk.approve(request)
    assert freehold("mcp", "confirm", "--json").items[0]["code"] is None, "not even its hash"


def test_on_a_terminal_the_user_sees_what_is_asked_and_gets_a_code_that_counts(project):
    desk, _ = asked(project)
    shown = on_a_terminal("mcp", "confirm", folder=project, typed="y\n", NO_COLOR="1")
    assert "migrate" in shown and "run the whole journey of support here" in shown
    (code,) = re.findall(r"code: \S*?([2-9A-Z]{4}-[2-9A-Z]{4})", shown)
    desk.redeem(CALL, code)


def test_no_is_the_default_and_takes_the_request_away(project):
    desk, _ = asked(project)
    assert "refused" in on_a_terminal("mcp", "confirm", folder=project, typed="\n", NO_COLOR="1")
    assert desk.waiting() == []
