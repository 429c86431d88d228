"""The table as a whole: it ends whatever is broken, and the worst finding is its outcome."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from freehold.errors import StorageError
from freehold.settings import load
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.workflows.doctor import examine
from freehold.workflows.doctor import store as checks
from freehold.workflows.doctor.examine import PARTS, SiteCheck, diagnose, site_of
from freehold.workflows.doctor.site import Site
from freehold.workflows.project import now, open_project


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return site_of(None, now=now())


def with_checks(monkeypatch, *checks):
    monkeypatch.setattr(examine, "PARTS", {"part": checks})


def test_every_check_says_something_about_an_empty_folder_and_makes_nothing(site, tmp_path):
    found = diagnose(site)
    for title, listed in PARTS.items():
        assert {check.name for check in listed} <= {one.check for one in found.parts[title]}
    assert list(tmp_path.iterdir()) == []
    assert all(one.fix for part in found.parts.values() for one in part if one.outcome != "ok")


def test_a_check_that_breaks_or_hangs_is_a_finding(site, monkeypatch):
    def broken(_):
        raise StorageError("the disk is gone")

    with_checks(
        monkeypatch,
        SiteCheck("broken", broken, lambda _: []),
        SiteCheck("bug", lambda _: 1 / 0, lambda _: []),
        SiteCheck("hangs", lambda _: time.sleep(30), lambda _: []),
    )
    found = diagnose(site, wait_seconds=0.5)
    assert found.seconds < 20 and found.exit_code == 1
    broken, bug, hangs = found.parts["part"]
    assert (
        "the disk is gone" in broken.text and "ZeroDivisionError" in bug.text and "within 0.5 s" in hangs.text
    )


def test_a_broken_file_above_is_found_and_told(site, tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text("[app\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    found = site_of(None, now=now())
    assert found.root == tmp_path and "not valid TOML" in found.problems[0].message
    assert site_of(tmp_path, now=now()).config_path == tmp_path / "freehold.toml"
    assert "no such file" in site_of(tmp_path / "gone.toml", now=now()).problems[0].message


@pytest.mark.parametrize("more", ["", "[serve]\nport = 9000\n"])
def test_a_site_is_where_the_project_is_and_makes_nothing(tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    text = f'[app]\nname = "x"\n{more}'
    path = tmp_path / "freehold.toml"
    path.write_text(text)
    site = Site(tmp_path, path, parse(text), load({}), datetime.now(UTC))
    state, url, port = site.state, site.store_url, site.port
    assert list(tmp_path.iterdir()) == [path]
    project = open_project(path)
    assert (state, url) == (project.state, project.store_url)
    assert project.gateway_url.endswith(f":{port}")


@pytest.fixture
def look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", f"sqlite:///{tmp_path / 'f.sqlite'}")
    return lambda: checks.look_at_store(site_of(None, now=now()))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "f.sqlite"
    open_store(f"sqlite:///{path}").close()
    return path


def judged(facts):
    (one,) = checks.judge_store(facts)
    return one


def test_a_store_is_looked_at_and_not_changed(look, file):
    before = file.read_bytes()
    facts = look()
    assert facts.checked and judged(facts).outcome == "ok" and "pages sound" in judged(facts).text
    assert file.read_bytes() == before


def test_damage(look, file):
    data = bytearray(file.read_bytes())
    data[4096 : len(data)] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    one = judged(look())
    assert one.outcome == "fail" and "damaged" in one.text
    assert ".recover | sqlite3 new.db" in one.fix and "restore FILE" in one.fix


def test_a_locked_one_is_told_within_its_time(look, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        one = judged(look())
        holder.execute("ROLLBACK")
    assert one.outcome == "warn" and "locked" in one.text


def test_another_schema(look, file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE store_facts SET value = '9999' WHERE name = 'schema'")
        connection.commit()
    assert judged(look()).outcome == "fail" and "9999" in judged(look()).text


def test_an_address_that_is_none_is_told_without_its_password(look, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "post:gres//me:hunter2@host")
    one = judged(look())
    assert one.outcome == "fail" and "hunter2" not in one.text


def test_a_server_that_does_not_answer(look, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:9/x")
    one = judged(look())
    assert one.outcome == "fail" and "hunter2" not in one.text + one.fix


@pytest.mark.parametrize("what", ["newest_trace", "newest_file", "facts_read"])
def test_a_clock_behind_what_was_written(what):
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    seen = dict.fromkeys(("newest_trace", "newest_file", "facts_read"), noon)
    assert [f.outcome for f in checks.judge_clock(checks.ClockFacts(now=noon, **seen))] == ["ok"]
    seen[what] += timedelta(hours=1)
    assert [f.outcome for f in checks.judge_clock(checks.ClockFacts(now=noon, **seen))] == ["fail"]
