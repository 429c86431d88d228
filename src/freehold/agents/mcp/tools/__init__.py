"""The tools of the server, in the order of the journey."""

from __future__ import annotations

from freehold.agents.mcp.tool import Tool
from freehold.agents.mcp.tools.acting import MAKING, MOVING
from freehold.agents.mcp.tools.asking import QUESTIONS, READING
from freehold.agents.mcp.tools.proof import PROOF

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (*QUESTIONS, *MAKING, *PROOF, *READING, *MOVING)}
