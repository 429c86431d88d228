"""The table as a whole: it ends whatever is broken, and the worst finding is its outcome."""

import os
import time
from datetime import UTC, datetime

import pytest

from freehold.errors import StorageError
from freehold.settings import load
from freehold.types.config_file import parse
from freehold.workflows.doctor import examine
from freehold.workflows.doctor.examine import PARTS, SiteCheck, diagnose, site_of
from freehold.workflows.doctor.site import Site
from freehold.workflows.doctor.store import check_clock
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
    for title, checks in PARTS.items():
        assert {check.name for check in checks} <= {one.check for one in found.parts[title]}
    assert list(tmp_path.iterdir()) == []
    assert all(one.fix for part in found.parts.values() for one in part if one.outcome != "ok")


def test_a_check_that_breaks_or_hangs_is_a_finding(site, monkeypatch):
    def broken(_):
        raise StorageError("the disk is gone")

    with_checks(
        monkeypatch,
        SiteCheck("broken", broken),
        SiteCheck("bug", lambda _: 1 / 0),
        SiteCheck("hangs", lambda _: time.sleep(30)),
    )
    found = diagnose(site, wait_seconds=0.5)
    assert found.seconds < 20 and found.exit_code == 1
    broken, bug, hangs = found.parts["part"]
    assert (
        "the disk is gone" in broken.text and "ZeroDivisionError" in bug.text and "within 0.5 s" in hangs.text
    )


def test_the_clock_is_compared_with_the_projects_files(site, tmp_path):
    assert [one.outcome for one in check_clock(site)] == ["ok"]
    site.state.mkdir()
    (site.state / "x").touch()
    os.utime(site.state / "x", (time.time() + 3600, time.time() + 3600))
    assert [one.outcome for one in check_clock(site)] == ["fail"]


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
