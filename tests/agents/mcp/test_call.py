"""What a tool works with."""

from decimal import Decimal

from freehold.agents.mcp.call import ToolCall
from freehold.agents.mcp.limits import AgentBudget
from freehold.agents.mcp.places import Places
from freehold.types.progress import Silent


def test_the_project_is_read_once_a_call_and_may_not_be_there_yet(tmp_path):
    call = ToolCall(tmp_path, Places(tmp_path), AgentBudget(1, Decimal(1)), Silent())
    assert call.project.root == tmp_path and call.project.config.incumbent is None
    assert call.project is call.project
