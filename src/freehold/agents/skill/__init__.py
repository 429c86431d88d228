"""Put the skill where coding agents look for it, and never over what a person has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from freehold import __version__, files
from freehold.errors import UsageError
from freehold.types.record import Record

AgentName = Literal["claude", "codex", "cursor", "gemini", "copilot", "agents"]
SKILL, MANIFEST = "freehold", ".freehold-skill.json"


class SkillFolders(NamedTuple):
    """Where an agent looks for skills: below a project, and below the user's home."""

    project: str
    home: str
    mark: str
    """A folder that is there where the agent is used."""


FOLDERS: dict[AgentName, SkillFolders] = {
    "claude": SkillFolders(".claude/skills", ".claude/skills", ".claude"),
    "codex": SkillFolders(".agents/skills", ".agents/skills", ".codex"),
    "cursor": SkillFolders(".cursor/skills", ".cursor/skills", ".cursor"),
    "gemini": SkillFolders(".gemini/skills", ".gemini/skills", ".gemini"),
    "copilot": SkillFolders(".github/skills", ".copilot/skills", ".copilot"),
    "agents": SkillFolders(".agents/skills", ".agents/skills", ".agents"),
}
"""As their documentation has it on 2026-11-29: code.claude.com/docs/en/skills, developers.openai.com/codex/skills,
cursor.com/docs/context/skills, geminicli.com/docs/cli/skills, docs.github.com (Copilot: agent skills); `agents` is the
folder of the open standard, which most read."""

Change = Literal["new", "same", "updated", "changed_by_you", "removed"]


class SkillFile(Record, frozen=True, kw_only=True):
    """One file, and what is done with it. `changed_by_you`: not as it was installed, so it is left."""

    path: str
    change: Change


class InstalledSkill(Record, frozen=True, kw_only=True):
    """A skill in one folder."""

    agent: AgentName
    folder: str
    version: str
    files: tuple[SkillFile, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Files that were left because a person changed them."""
        return tuple(one.path for one in self.files if one.change == "changed_by_you")


def skill_files() -> dict[str, bytes]:
    """The skill's files by their path in its folder, with this version's number in them."""
    root = resources.files("freehold.agents.skill").joinpath(SKILL)
    named = {"SKILL.md": root.joinpath("SKILL.md")}
    for file in sorted(root.joinpath("references").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".md"):
            named[f"references/{file.name}"] = file
    return {
        name: file.read_text("utf-8").replace('"VERSION"', f'"{__version__}"').encode()
        for name, file in named.items()
    }


def agents_in_use(base: Path) -> list[AgentName]:
    """The agents whose folder is in `base` (a project or a home)."""
    return [name for name, where in FOLDERS.items() if name != "agents" and (base / where.mark).is_dir()]


def install(agents: Iterable[AgentName], base: Path, *, at_home: bool) -> list[InstalledSkill]:
    """Install or bring up to date, once for each folder. Files that were changed since are left.

    Raises `UsageError` for a folder that is a link out of `base`, `StorageError`.
    """
    made: list[InstalledSkill] = []
    seen: set[Path] = set()
    for agent in agents:
        where = FOLDERS[agent].home if at_home else FOLDERS[agent].project
        folder = base / where / SKILL
        if not folder.resolve().is_relative_to(base.resolve()):
            raise UsageError(
                f"{folder}: a link leads out of {base}", hint="remove the link, or install by hand"
            )
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        made.append(_install(agent, folder))
    return made


def _install(agent: AgentName, folder: Path) -> InstalledSkill:
    known, new = _installed_before(folder), skill_files()
    changes: list[SkillFile] = []
    for name, content in new.items():
        path = folder / name
        change = _change(path, content, known.get(name))
        changes.append(SkillFile(path=str(path), change=change))
        if change in ("new", "updated"):
            with files.writing(f"{path}: cannot be written"):
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write(path, content)
    for name in sorted(known.keys() - new.keys()):
        path = folder / name
        if path.is_file() and _hash(path.read_bytes()) == known[name]:
            changes.append(SkillFile(path=str(path), change="removed"))
            path.unlink()
    # What was left stands with the hash it had when it was installed, so that it counts as changed the next time.
    kept = {
        Path(one.path).relative_to(folder).as_posix() for one in changes if one.change == "changed_by_you"
    }
    hashes = {name: known.get(name, "") if name in kept else _hash(content) for name, content in new.items()}
    with files.writing(f"{folder}: cannot be written"):
        files.write_json(folder / MANIFEST, {"version": __version__, "files": hashes})
    return InstalledSkill(agent=agent, folder=str(folder), version=__version__, files=tuple(changes))


def _change(path: Path, content: bytes, installed: str | None) -> Change:
    if not path.exists():
        return "new"
    there = path.read_bytes()
    if there == content:
        return "same"
    return "updated" if _hash(there) == installed else "changed_by_you"


def _installed_before(folder: Path) -> dict[str, str]:
    """Hashes of the files as they were installed; empty where nothing was."""
    try:
        read = msgspec.json.decode((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return {}
    found = read.get("files") if isinstance(read, dict) else None
    if not isinstance(found, dict):
        return {}
    # A manifest may have been written by anything: only plain names below the folder count.
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str) and ".." not in Path(name).parts and not Path(name).is_absolute()
    }


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
