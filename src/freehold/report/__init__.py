"""Records in, one self-contained HTML page out, and the same as Markdown. No store, no clock."""

from freehold.report.markdown import render_markdown
from freehold.report.page import render
from freehold.report.sharing import shareable

__all__ = ["render", "render_markdown", "shareable"]
