"""Tools called without the protocol: the agent's side of the server on a project that is rehearsed in seconds."""

import pytest
from tests.workflows.journey.test_migrate import project as rehearsed

from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.tools import TOOLS
from freehold.progress import Silent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project on the shipped fake, in a folder of its own."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    root = tmp_path / "project"
    root.mkdir()
    rehearsed(root)
    return root


@pytest.fixture
def agent(folder):
    return AgentServer(folder, TOOLS, AgentLimits(calls_per_minute=10_000))


@pytest.fixture
def use(agent):
    """Call a tool by its name; what it returns as an agent gets it."""

    def run(name, **arguments):
        return agent.run(agent.understand(name, arguments), Silent())

    return run


@pytest.fixture
def question(agent):
    """What the user would be asked."""
    return lambda name, **arguments: agent.question(agent.understand(name, arguments))
