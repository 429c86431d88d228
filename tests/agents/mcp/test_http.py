"""The server over HTTP: one token, loopback's own names, and the same tools."""

import os
import signal
import subprocess
import sys

import anyio
import pytest

mcp = pytest.importorskip("mcp")
import httpx2  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

pytestmark = pytest.mark.process

TOKEN = "a-token-of-this-test"


@pytest.fixture
def address(folder):
    """A server on a free port of loopback."""
    command = [sys.executable, "-m", "freehold", "mcp", "--http", "--port", "0", "--token-env", "THE_TOKEN"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, "THE_TOKEN": TOKEN}
    ) as server:
        try:
            told = server.stderr.readline()
            assert told.startswith("serving http://127.0.0.1:"), told + server.stderr.read()
            yield told.split()[1]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
            server.stderr.close()


def initialize():
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def post(address, headers):
    return httpx2.post(address, json=initialize(), headers=headers, timeout=110)


def test_a_client_with_the_token_gets_a_verdict_and_others_nothing(address):
    async def verdict():
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=110) as http:
            transport = streamable_http_client(address, http_client=http)
            async with mcp.Client(transport) as client:
                pairs = [[1, 1]] * 180 + [[1, 0]] * 5 + [[0, 1]] * 15
                return (
                    await client.call_tool("compare_scores", {"pairs": pairs, "margin": 0.05})
                ).structured_content

    assert anyio.run(verdict)["verdict"] == "promote"
    accepted = {"accept": "application/json, text/event-stream"}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
        refused = post(address, {**accepted, **headers})
        assert refused.status_code == 401 and "Bearer TOKEN" in refused.text
    # What a page of a browser would send: another name of this machine, or another origin.
    right = {**accepted, "authorization": f"Bearer {TOKEN}"}
    assert (
        httpx2.post(address, json=initialize(), headers={**right, "host": "evil.example"}).status_code == 421
    )
    assert (
        httpx2.post(
            address, json=initialize(), headers={**right, "origin": "https://evil.example"}
        ).status_code
        == 403
    )


def test_a_token_that_is_short_or_not_there_is_refused(folder):
    command = [
        sys.executable,
        "-m",
        "freehold",
        "mcp",
        "--http",
        "--port",
        "0",
        "--token-env",
        "NO_SUCH_TOKEN",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert ran.returncode == 2 and "NO_SUCH_TOKEN: not set, or shorter than 16 characters" in ran.stderr


def test_a_signal_ends_it_without_a_traceback(folder):
    """SIGTERM is what systemd stops a service by."""
    command = [sys.executable, "-m", "freehold", "mcp", "--http", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stderr.readline().startswith("serving ") and server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=60)[1]
    assert (server.returncode, said.strip()) == (128 + signal.SIGTERM, "stopped")
