"""The tools of the server, in the order of the journey."""

from __future__ import annotations

from freehold.agents.mcp.tool import Tool
from freehold.agents.mcp.tools import data, proof, questions, reading, traffic

TOOLS: dict[str, Tool] = {
    tool.name: tool for part in (questions, data, proof, reading, traffic) for tool in part.TOOLS
}
