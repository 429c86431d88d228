"""The first answer is sent before the protocol's library is there, and is the one that the library would give."""

import json
import subprocess
import sys

import anyio
import pytest

from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.opening import SERVED_VERSIONS, answer
from freehold.agents.mcp.tools import TOOLS

pytest.importorskip("mcp")
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from freehold.agents.mcp.server import build

pytestmark = pytest.mark.process


def initialize(version="2025-11-25", **changes):
    params = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
        **changes,
    }
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def line(message):
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize("version", [*SERVED_VERSIONS, "1999-01-01", "2999-01-01"])
def test_it_is_the_librarys_own_answer(version, tmp_path):
    async def ask():
        server = build(AgentServer(tmp_path, TOOLS, AgentLimits()))
        async with (
            create_client_server_memory_streams() as (client, ours),
            anyio.create_task_group() as group,
        ):
            group.start_soon(server.run, *ours, server.create_initialization_options())
            message = jsonrpc_message_adapter.validate_python(initialize(version))
            await client[1].send(SessionMessage(message))
            reply = await client[0].receive()
            group.cancel_scope.cancel()
        return json.loads(reply.message.model_dump_json(by_alias=True, exclude_unset=True))

    assert json.loads(answer(line(initialize(version)))) == anyio.run(ask)


TALK = """
import sys
from freehold.agents.mcp import opening

def build():
    print("stray")  # what tools print must not get on the wire
    from pathlib import Path
    from freehold.agents.mcp.calling import AgentLimits, AgentServer
    from freehold.agents.mcp.server import build
    from freehold.agents.mcp.tools import TOOLS
    return build(AgentServer(Path("."), TOOLS, AgentLimits()))

opening.serve_stdio(build)
"""


def test_the_answer_comes_once_and_the_session_goes_on(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", TALK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as server:
        server.stdin.write(line(initialize()))
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "freehold"
        server.stdin.write(line({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        server.stdin.write(line({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
        server.stdin.flush()
        listed = json.loads(server.stdout.readline())
        assert listed["id"] == 1, "the library's own answer to initialize was dropped"
        assert len(listed["result"]["tools"]) == 22
        rest, told = server.communicate()
    assert rest == b"" and b"stray" in told and server.returncode == 0


def test_a_client_that_leaves_at_once_ends_the_server(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "freehold", "mcp"], input=b"", capture_output=True, cwd=tmp_path, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, b"")


def test_nothing_heavy_is_imported_before_the_first_answer():
    command = (
        "import sys, json, freehold.cli.main, freehold.cli.agents, freehold.agents.mcp.opening;"
        "print(json.dumps([n for n in ('mcp', 'pydantic', 'anyio', 'numpy', 'sqlalchemy', 'rich', 'asyncio')"
        " if n in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []
