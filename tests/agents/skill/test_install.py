"""The skill where agents look for it, and never over what a person changed."""

import json
import re

import pytest
import yaml

from freehold import __version__
from freehold.agents.skill import FOLDERS, MANIFEST, install, skill_files
from freehold.cli.main import COMMANDS
from freehold.errors import UsageError


def changes(made):
    (one,) = made
    return {file.change for file in one.files}


def test_the_skill_is_what_the_standard_asks_for():
    """https://agentskills.io/specification: name, description, sizes, and links that lead somewhere."""
    files = {name: text.decode() for name, text in skill_files().items()}
    _, front, body = files["SKILL.md"].split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["name"] == "freehold" and re.fullmatch(r"[a-z0-9-]{1,64}", head["name"])
    assert 0 < len(head["description"]) <= 1024 and len(head["compatibility"]) <= 500
    assert head["metadata"]["version"] == __version__
    assert len(body.splitlines()) < 500
    linked = set(re.findall(r"\]\(([^)]+)\)", body))
    assert linked == {name for name in files if name != "SKILL.md"}


def test_commands_that_the_skill_names_exist():
    for text in skill_files().values():
        for name in re.findall(r"`freehold ([a-z][a-z-]+)", text.decode()):
            assert name in COMMANDS, name


@pytest.mark.parametrize("agent", FOLDERS)
@pytest.mark.parametrize("at_home", [True, False])
def test_it_is_put_where_the_agent_looks(tmp_path, agent, at_home):
    (made,) = install([agent], tmp_path, at_home=at_home)
    where = FOLDERS[agent].home if at_home else FOLDERS[agent].project
    assert made.folder == str(tmp_path / where / "freehold")
    assert (tmp_path / where / "freehold" / "SKILL.md").read_bytes() == skill_files()["SKILL.md"]


def test_again_changes_nothing_and_an_upgrade_what_was_not_touched(tmp_path, monkeypatch):
    assert changes(install(["claude"], tmp_path, at_home=False)) == {"new"}
    assert changes(install(["claude"], tmp_path, at_home=False)) == {"same"}
    folder = tmp_path / ".claude" / "skills" / "freehold"
    (folder / "references" / "proof.md").write_text("my own words")
    next_version = {name: text + b"\nnew\n" for name, text in skill_files().items() if "python" not in name}
    monkeypatch.setattr("freehold.agents.skill.skill_files", lambda: next_version)
    (made,) = install(["claude"], tmp_path, at_home=False)
    assert made.kept == (str(folder / "references" / "proof.md"),)
    assert (folder / "references" / "proof.md").read_text() == "my own words"
    assert (folder / "SKILL.md").read_bytes().endswith(b"\nnew\n")
    assert not (folder / "references" / "python.md").exists(), "gone from the skill, and not touched"
    assert install(["claude"], tmp_path, at_home=False)[0].kept == made.kept, "still the person's"


def test_a_file_that_was_there_before_is_a_persons(tmp_path):
    folder = tmp_path / ".claude" / "skills" / "freehold"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("mine")
    assert install(["claude"], tmp_path, at_home=False)[0].kept == (str(folder / "SKILL.md"),)


def test_a_manifest_cannot_lead_out_of_the_folder(tmp_path):
    folder = tmp_path / ".claude" / "skills" / "freehold"
    install(["claude"], tmp_path, at_home=False)
    victim = tmp_path / "victim.md"
    victim.write_text("x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256 of x
    named = {"../../../victim.md": digest, str(victim): digest, "gone.md": 3}
    (folder / MANIFEST).write_text(json.dumps({"files": named}))
    install(["claude"], tmp_path, at_home=False)
    assert victim.exists()
    (folder / MANIFEST).write_text("[]")
    assert changes(install(["claude"], tmp_path, at_home=False)) == {"same"}


def test_a_link_out_of_the_project_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / ".claude").mkdir(parents=True)
    (tmp_path / "in" / ".claude" / "skills").symlink_to(tmp_path / "out")
    with pytest.raises(UsageError, match="leads out of"):
        install(["claude"], tmp_path / "in", at_home=False)
