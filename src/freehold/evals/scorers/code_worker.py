"""The process the `code` scorer talks to: one JSON line in, one out, over the socket that is its stdin.

Run as a script, without freehold itself. It sets its own limits before the user's file is read. What the callable
prints goes to stdout and stderr, and nowhere near the replies.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

Grade = Callable[..., Any]
_OPEN_FILES = 256
_FILE_BYTES = 64 * 1024 * 1024


def load(target: str) -> Grade:
    """The callable ``module:function`` or ``file.py:function`` names."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))  # noqa: PTH100, PTH120 - no pathlib at start
        spec = importlib.util.spec_from_file_location("freehold_user_code", place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - no pathlib needed at start
        module = importlib.import_module(place)
    grade = getattr(module, name, None)
    if grade is None:
        raise AttributeError(f"there is no {name} in it")
    if not callable(grade):
        raise TypeError(f"{name} can't be called")
    return grade  # type: ignore[no-any-return]


def limit(memory_mib: int, processes: int) -> None:
    """Cap address space, file size, open files and (0: not) processes, where the platform can."""
    try:
        import resource
    except ImportError:
        return
    size = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if processes:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def allow(seconds: float) -> None:
    """Have the kernel end this process when one answer has used its time on the processor: whatever started it may be
    gone by then."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def graded(grade: Grade, question: dict[str, Any]) -> dict[str, Any]:
    """What the callable says, as the reply the scorer reads; `nonsense` where that cannot be a score."""
    said = grade(question["answer"], question["reference"], question["sample"])
    reply: dict[str, Any] = {}
    value = said
    if isinstance(said, dict):
        if "value" not in said:
            return {"nonsense": "a dict without value"}
        value = said["value"]
        reply = {key: said[key] for key in ("reason", "format_ok", "parts") if said.get(key) is not None}
    if hasattr(value, "item") and not isinstance(value, bool | int | float):
        value = value.item()  # a scalar of numpy or torch
    if value is not None and not isinstance(value, bool | int | float):
        return {"nonsense": f"{type(value).__name__}, not a number, a bool, None or a dict"}
    if value is not None and not 0.0 <= value <= 1.0:
        return {"nonsense": f"{value}, not a number from 0 to 1"}
    if not isinstance(reply.get("format_ok", True), bool):
        return {"nonsense": "a format_ok that is not true or false"}
    if "reason" in reply:
        reply["reason"] = str(reply["reason"])
    try:
        reply["parts"] = {str(name): float(part) for name, part in dict(reply.get("parts", {})).items()}
    except (TypeError, ValueError):
        return {"nonsense": "parts that are not names and numbers"}
    return reply | {"value": None if value is None else float(value)}


def told(error: BaseException, target: str) -> dict[str, Any]:
    """An error as a reply: what, and the last place of it in the user's own file."""
    place = target.rpartition(":")[0]
    own = (
        os.path.abspath(place)  # noqa: PTH100 - no pathlib needed at start
        if place.endswith(".py")
        else getattr(sys.modules.get(place), "__file__", None)
    )
    said: dict[str, Any] = {"error": f"{type(error).__name__}: {error}"[:500]}
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return said | {"path": error.filename, "line": error.lineno}
    frames = traceback.extract_tb(error.__traceback__)
    mine = [one for one in frames if one.filename == own]
    return said | {"path": mine[-1].filename, "line": mine[-1].lineno} if mine else said


def main() -> None:
    """Answer until the input ends."""
    target, memory_mib, processes, seconds = (
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
    link = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit(memory_mib, processes)

    def reply(value: dict[str, Any]) -> None:
        link.sendall(json.dumps(value).encode() + b"\n")

    try:
        grade = load(target)
    except BaseException as error:  # noqa: BLE001 - whatever the user's module raises is what has to be told
        reply(told(error, target))
        return
    reply({"ready": True})
    for line in link.makefile("rb"):
        question = json.loads(line)
        allow(seconds)
        try:
            said = graded(grade, question)
        except BaseException as error:  # noqa: BLE001 - also sys.exit(): the scorer has to know what it was
            said = told(error, target)
        reply(said | {"number": question["number"]})


if __name__ == "__main__":
    main()
