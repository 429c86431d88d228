"""The doctor as a person and as a monitor meet it."""

import sqlite3


def levels(ran):
    return {finding["check"]: finding["level"] for finding in ran.json}


def test_it_works_without_a_project_and_fits_a_terminal(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = freehold("doctor")
    assert ran.code in (0, 1) and "Traceback" not in ran.err
    assert max(map(len, ran.out.splitlines())) <= 200 and "no freehold.toml" in ran.out


def test_a_broken_file_is_a_finding_with_its_fix(freehold, project):
    (project / "freehold.toml").write_text('[app]\nname = "x"\n[task]\nmargn = 1\n')
    ran = freehold("doctor", "--json")
    found = next(one for one in ran.json if one["check"] == "configuration")
    assert (
        ran.code == 2 and found["level"] == "fail" and "margn" in found["what"] and "margin" in found["fix"]
    )


def test_a_locked_and_a_damaged_store_are_told_apart(freehold, traffic):
    path = traffic / ".freehold" / "freehold.sqlite"
    assert levels(freehold("doctor", "--json"))["store"] == "ok"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    assert levels(freehold("doctor", "--json"))["store"] in ("ok", "warn")
    holder.close()
    path.write_bytes(b"")
    ran = freehold("doctor", "--json")
    assert ran.code == 2 and levels(ran)["store"] == "fail"


def test_an_open_address_without_keys_fails(freehold, traffic, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOST", "0.0.0.0")
    assert levels(freehold("doctor", "--json"))["keys"] == "fail"
    assert freehold("keys", "add", "app").code == 0
    assert levels(freehold("doctor", "--json"))["keys"] == "ok"
