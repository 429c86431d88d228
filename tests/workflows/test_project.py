"""Where a project is found, and where its state and its store are."""

import os

import pytest

from freehold.errors import ConfigError, StorageError
from freehold.store import open_store
from freehold.workflows.project import open_project

FILE = '[app]\nname = "shop"\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("FREEHOLD_STATE", "FREEHOLD_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_file_is_looked_for_here_and_above(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(FILE)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    found = open_project()
    assert (found.config.app.name, found.root) == ("shop", tmp_path)
    (tmp_path / "a" / "freehold.toml").write_text('[app]\nname = "nearer"\n')
    assert open_project().config.app.name == "nearer"
    assert open_project(tmp_path).config.app.name == "shop", "a folder means the file in it"


def test_a_current_folder_that_is_gone_is_named(tmp_path):
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="current folder has been deleted"):
        open_project()


def test_without_a_file_there_are_defaults_unless_one_must_exist(tmp_path):
    made = open_project()
    assert (made.config.app.name, made.config_path) == (tmp_path.name, None)
    for asked in ({"must_exist": True}, {"config": tmp_path / "other.toml"}, {"config": tmp_path}):
        with pytest.raises(ConfigError, match="no such file") as caught:
            open_project(**asked)
        assert "freehold init" in caught.value.hint


def test_what_is_not_a_readable_file_says_why_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a file"):
        open_project(tmp_path / "pipe")
    (tmp_path / "freehold.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid UTF-8"):
        open_project()
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "folder.toml" / "freehold.toml").mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        open_project(tmp_path / "folder.toml")


def test_state_is_made_on_first_use_and_kept_out_of_git(tmp_path, monkeypatch):
    opened = open_project()
    assert not (tmp_path / ".freehold").exists()
    assert opened.state == tmp_path / ".freehold"
    assert (opened.state / ".gitignore").read_text() == "*\n"
    (opened.state / ".gitignore").unlink()
    assert not (opened.state / ".gitignore").exists(), "what a person removed stays away"
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "elsewhere"))
    assert open_project().state == tmp_path / "elsewhere"


def test_state_that_cannot_be_made_says_where_else(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "file" / "state"))
    with pytest.raises(StorageError, match="state folder cannot be made") as caught:
        _ = open_project().state
    assert "FREEHOLD_STATE" in caught.value.hint


def test_the_environments_store_goes_before_the_state_folders(tmp_path, monkeypatch):
    assert open_project().store_url == f"sqlite:///{tmp_path / '.freehold' / 'freehold.sqlite'}"
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "sqlite:///theirs")
    assert open_project().store_url == "sqlite:///theirs"


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(FILE)
    monkeypatch.chdir(os.sep)
    opened = open_project(tmp_path / "freehold.toml")
    assert opened.path("data/a.jsonl") == tmp_path / "data" / "a.jsonl"
    assert str(opened.path("/data/a.jsonl")) == "/data/a.jsonl"
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(opened.path("~/a.jsonl")) == "/home/ada/a.jsonl"


def test_a_project_under_more_names(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "a"\n[serve]\nhosts = ["one"]\n')
    project = open_project(tmp_path)
    assert project.also_under(["two"]).config.serve.hosts == (
        "one",
        "two",
    ) and project.config.serve.hosts == ("one",)


def test_the_state_folder_is_its_owners_only_and_one_that_was_there_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = open_project().state
    assert state.stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    monkeypatch.setenv("FREEHOLD_STATE", str(shared))
    assert open_project().state.stat().st_mode & 0o777 == 0o755


def test_a_strangers_file_is_not_used_unless_it_is_named(tmp_path, monkeypatch, caplog):
    """It names programs that are run: only the caller's own and root's are taken without being named."""
    file, below = tmp_path / "freehold.toml", tmp_path / "a" / "b"
    file.write_text(FILE)
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert open_project().config.app.name == "shop" and f"the project is that of {file}" in caplog.text
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    if mine != 0:
        with pytest.raises(ConfigError, match="is not used: it belongs to"):
            open_project()
    monkeypatch.setattr(os, "geteuid", lambda: mine)
    file.chmod(0o646)
    with pytest.raises(ConfigError, match="is not used: others may write it") as refused:
        open_project()
    assert f"--config {file}" in refused.value.hint
    assert open_project(file).config.app.name == "shop"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_root_does_not_obey_a_file_of_nobody(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(FILE)
    os.chown(tmp_path / "freehold.toml", 65534, 65534)
    with pytest.raises(ConfigError, match="is not used: it belongs to the user"):
        open_project()
    assert open_project(tmp_path).config.app.name == "shop"


@pytest.mark.parametrize("border", ["repository", "home"])
def test_the_search_ends_at_a_repository_and_at_home(tmp_path, monkeypatch, border):
    (tmp_path / "freehold.toml").write_text(FILE)
    inner = tmp_path / "inner"
    (inner / "deep").mkdir(parents=True)
    if border == "home":
        monkeypatch.setenv("HOME", str(inner))
    else:
        (inner / ".git").mkdir()
    monkeypatch.chdir(inner / "deep")
    assert open_project().config_path is None


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "a\\\\b", "a\\u0000b", ""])
def test_an_applications_name_names_a_folder(tmp_path, name):
    (tmp_path / "freehold.toml").write_text(f'[app]\nname = "{name}"\n')
    with pytest.raises(ConfigError, match="cannot be the name of a folder"):
        open_project()


@pytest.mark.parametrize(
    "more", ["x = " + "[" * 100_000 + "]" * 100_000, f"[{'.'.join('x' * 5_000)}]\n"], ids=["lists", "tables"]
)
def test_a_file_nested_too_deep_is_an_error(tmp_path, more):
    (tmp_path / "freehold.toml").write_text(FILE + more)
    with pytest.raises(ConfigError, match="nested too deep"):
        open_project()


def test_looking_for_a_store_makes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project(None)
    assert project.reading_url == "sqlite://"
    assert not (tmp_path / ".freehold").exists()
    with open_store(project.store_url):
        pass
    assert project.reading_url == project.store_url


def test_a_mark_of_an_editor_is_passed_over_and_an_unknown_scorer_told(tmp_path):
    (tmp_path / "freehold.toml").write_text(FILE, encoding="utf-8-sig")
    assert open_project().config.app.name == "shop"
    (tmp_path / "freehold.toml").write_text('[app]\nname = "a"\n[task]\nscorer = "lable"\n')
    with pytest.raises(ConfigError, match=r"freehold.toml: task.scorer: unknown scorer lable") as refused:
        open_project(tmp_path)
    assert refused.value.hint == "did you mean label?"
