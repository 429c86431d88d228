"""One of several candidates is chosen on samples of their own, so that the proof looks at one only."""

from freehold.workflows.journey.selection.selector import RULE, Selected, Selector

__all__ = ["RULE", "Selected", "Selector"]
