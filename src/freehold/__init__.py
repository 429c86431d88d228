"""freehold: move an application off a rented model API onto an open-weight model, and prove it is safe.

From Python::

    import freehold

    freehold.scan("src/")                               # where code uses rented models, and until when
    freehold.tasks("traffic.jsonl")                     # which tasks are in a log
    freehold.license("google/gemma-3-270m", use={"mode": "internal", "commercial": True})
    freehold.fit("google/gemma-3-270m", machine="L4")
    freehold.cost("google/gemma-3-270m", incumbent="gpt-4o", machine="L4", requests_per_month=2_000_000,
                  prompt_tokens=800, completion_tokens=120)
    freehold.power(0.02)                                # how many items are needed
    freehold.compare([(1, 1), (1, 0), …], margin=0.02)  # a verdict from pairs of scores
    freehold.evaluate("gpt-4o.jsonl", "mine.jsonl")     # a verdict from two files of answers

    project = freehold.Project.load()                   # a folder with a freehold.toml
    project.migrate()                                   # the whole journey

Every call returns the record that the command of the same name prints with ``--json`` and raises the errors of
`freehold.errors`. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Project": "freehold.api.project:FreeholdProject",
    "scan": "freehold.api.questions:scan",
    "tasks": "freehold.api.questions:tasks",
    "license": "freehold.api.questions:license",
    "fit": "freehold.api.questions:fit",
    "cost": "freehold.api.questions:cost",
    "power": "freehold.api.questions:power",
    "compare": "freehold.api.questions:compare",
    "evaluate": "freehold.api.questions:evaluate",
    "Dataset": "freehold.types.dataset:Dataset",
    "Ruling": "freehold.types.license:Ruling",
    "Fit": "freehold.types.machine:Fit",
    "Cost": "freehold.types.cost:Cost",
    "Comparison": "freehold.types.evaluation:Comparison",
    "Verdict": "freehold.types.verdict:Verdict",
    "Report": "freehold.types.report:Report",
    "FreeholdError": "freehold.errors:FreeholdError",
}
"""Where each public name is defined, in the order of the journey. Type checkers read ``__init__.pyi``, which says the
same: imports here would be arrows from every room, which has `__version__` from here, up to the top."""

__all__ = [
    "Comparison",
    "Cost",
    "Dataset",
    "Fit",
    "FreeholdError",
    "Project",
    "Report",
    "Ruling",
    "Verdict",
    "__version__",
    "compare",
    "cost",
    "evaluate",
    "fit",
    "license",
    "power",
    "scan",
    "tasks",
]


def __getattr__(name: str) -> Any:
    target = _PUBLIC.get(name)
    if target is None:
        raise AttributeError(f"module 'freehold' has no attribute {name!r}")
    import importlib

    module, _, attribute = target.partition(":")
    found = globals()[name] = getattr(importlib.import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*_PUBLIC, "__version__"})
