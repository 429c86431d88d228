"""The process the `code` scorer talks to: one JSON line in, one out. Run as a script, without freehold itself."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any

Grade = Callable[..., Any]


def load(target: str) -> Grade:
    """The callable ``module:function`` or ``file.py:function`` names."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location("freehold_user_code", place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - no pathlib needed at start
        module = importlib.import_module(place)
    grade = getattr(module, name)
    if not callable(grade):
        raise TypeError(f"{name} can't be called")
    return grade  # type: ignore[no-any-return]


def limit(memory_mib: int) -> None:
    """Cap the address space where the platform can."""
    try:
        import resource
    except ImportError:
        return
    size = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def graded(grade: Grade, question: dict[str, Any]) -> dict[str, Any]:
    """What the callable says, as the reply the scorer reads."""
    said = grade(question["answer"], question["reference"], question["sample"])
    if isinstance(said, dict):
        value = said.get("value")
        reply = {key: said[key] for key in ("reason", "format_ok", "parts") if said.get(key) is not None}
    else:
        value, reply = said, {}
    if value is not None and not isinstance(value, bool | int | float):
        raise TypeError(f"returned {type(value).__name__}, expected a number, a bool, None or a dict")
    if value is not None and value != value:
        raise ValueError("returned NaN")
    return reply | {"value": None if value is None else float(value)}


def main() -> None:
    """Answer until the input ends. What the callable prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit(int(sys.argv[2]))

    def reply(value: dict[str, Any]) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    try:
        grade = load(sys.argv[1])
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises is what has to be told
        reply({"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    reply({"ready": True})
    for line in questions:
        try:
            reply(graded(grade, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - a failing callable leaves the item unscored, told by name
            reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
