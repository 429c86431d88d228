"""`freehold doctor` as a person, and as a monitor, meets it."""

import os

import pytest


@pytest.fixture
def healthy(freehold, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\nport = 18437\n')
    (tmp_path / "freehold.toml").chmod(0o600)


def test_each_finding_has_a_line_and_each_problem_a_way_out(freehold, healthy, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOST", "0.0.0.0")
    ran = freehold("doctor")
    assert ran.code == 2 and ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0] == "This machine" and {"This project", "What it keeps"} <= set(lines)
    place = next(n for n, line in enumerate(lines) if line.startswith("  fail  keys "))
    assert "without keys" in lines[place] and "→ freehold keys add NAME" in lines[place + 1]
    assert lines[-1].endswith("1 fail")


def test_it_works_on_broken_things(freehold, healthy, tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text("[app\n")
    state = tmp_path / ".freehold"
    state.mkdir(mode=0o700)
    (state / "freehold.sqlite").write_text("no database at all, " * 500)
    monkeypatch.setenv("FREEHOLD_NO_SUCH", "1")
    ran = freehold("doctor")
    assert ran.code == 2 and "Traceback" not in ran.out + ran.err
    assert "not valid TOML" in ran.out and "FREEHOLD_NO_SUCH" in ran.out and "is damaged" in ran.out


def test_names_do_not_steer_the_terminal(freehold, healthy, tmp_path):
    state = tmp_path / ".freehold"
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    named = state / "\x1b]0;owned\x07.jsonl"
    named.write_text("words")
    named.chmod(0o644)
    out = freehold("doctor").out
    assert "\x1b" not in out and "\x07" not in out
    if hasattr(os, "getuid"):
        assert r"\u001b]0;owned\u0007.jsonl" in out.replace("\n" + " " * 23, "")
