"""A Containerfile as its builder reads it: stages of instructions."""

import json
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "Containerfile"


class Instruction(NamedTuple):
    """``name`` in capitals and what stands behind it, continued lines joined."""

    name: str
    text: str

    @property
    def words(self):
        """The words of the exec form, or of a line."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


class Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]

    def all(self, name):
        return [one for one in self.instructions if one.name == name]


def instructions(text):
    joined, parts = [], []
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not (line.strip() or parts):
            continue
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            joined.append(" ".join(parts))
            parts = []
    assert not parts, "the last line is continued"
    return [
        Instruction(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined)
    ]


def stages(text):
    """The stages in their order, and the instructions before the first."""
    before, found = [], []
    for one in instructions(text):
        if one.name == "FROM":
            base, _, name = one.text.partition(" AS ")
            found.append(Stage(name.strip(), base.strip(), []))
        else:
            (found[-1].instructions if found else before).append(one)
    return before, found


def lineage(found, name):
    """A stage and those it is built on, the outermost last."""
    by_name = {stage.name: stage for stage in found}
    chain = [by_name[name]]
    while chain[-1].base in by_name:
        chain.append(by_name[chain[-1].base])
    return chain


def environment(chain):
    """What ENV says in a stage, those it is built on included."""
    values = {}
    for stage in reversed(chain):
        for one in stage.all("ENV"):
            values |= dict(word.split("=", 1) for word in shlex.split(one.text))
    return values


def last(chain, name):
    """The instruction of that name that counts: the last one of the innermost stage that has it."""
    for stage in chain:
        if stage.all(name):
            return stage.all(name)[-1]
    return None
