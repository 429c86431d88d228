"""The instructions of a judge, as a TOML file that people write and keep with their project."""

from __future__ import annotations

import re
import string
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from freehold.errors import ConfigError

_ALLOWED = {
    "pairwise": {"question", "reference", "answer_a", "answer_b"},
    "absolute": {"question", "reference", "answer"},
}


class Rubric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`prompt` is a template with ``{question}``, ``{reference}`` and ``{answer}`` (absolute) or ``{answer_a}`` and
    ``{answer_b}`` (pairwise). `verdict` is a pattern whose first group is the verdict; its last match counts.
    """

    kind: Literal["pairwise", "absolute"]
    prompt: str
    verdict: str
    system: str = ""
    lowest: float = 1
    highest: float = 10

    def messages(self, **parts: str) -> list[dict[str, str]]:
        """The messages of one judgement. Braces in the parts are left alone."""
        system = [{"role": "system", "content": self.system.strip()}] if self.system.strip() else []
        return [*system, {"role": "user", "content": self.prompt.format(**parts).strip()}]

    def verdict_in(self, text: str) -> str | None:
        """The verdict in a judge's answer, None where there is none."""
        matches = list(re.finditer(self.verdict, text))
        return matches[-1].group(1) if matches else None


def load(path: Path | None, kind: Literal["pairwise", "absolute"]) -> Rubric:
    """The rubric in a file, or the one freehold ships. Raises `ConfigError` naming what is wrong."""
    place = str(path or f"{kind} rubric")
    try:
        text = (
            resources.files("freehold.evals.judging.rubrics")
            .joinpath(f"{kind}.toml")
            .read_text(encoding="utf-8")
            if path is None
            else path.read_text(encoding="utf-8")
        )
        rubric = msgspec.convert(tomllib.loads(text), Rubric)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}") from None
    if rubric.kind != kind:
        raise ConfigError(
            f"{place}: kind is {rubric.kind}, expected {kind}",
            hint="the kind must be that of task.options.mode",
        )
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(rubric.prompt) if name is not None}
        groups = re.compile(rubric.verdict).groups
    except (ValueError, re.error) as error:
        raise ConfigError(f"{place}: prompt or verdict can't be read: {error}") from None
    if unknown := fields - _ALLOWED[kind]:
        raise ConfigError(
            f"{place}: the prompt names {', '.join(sorted(unknown))}",
            hint=f"known: {', '.join(sorted(_ALLOWED[kind]))}",
        )
    wanted = {"answer_a", "answer_b"} if kind == "pairwise" else {"answer"}
    if missing := wanted - fields:
        raise ConfigError(f"{place}: the prompt lacks {', '.join(sorted(missing))}")
    if groups < 1:
        raise ConfigError(f"{place}: verdict has no group", hint=r"for example '\[\[(A|B|C)\]\]'")
    if not rubric.lowest < rubric.highest:
        raise ConfigError(f"{place}: lowest is {rubric.lowest:g}, highest {rubric.highest:g}")
    return rubric
