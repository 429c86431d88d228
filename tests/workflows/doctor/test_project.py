"""The project's checks: variables and files it names, who may ask, its port, the age of facts."""

import shutil
import socket
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from freehold.catalog.freshness import PARTS, ages
from freehold.store import open_store
from freehold.types.route import ApiKey, Limits
from freehold.workflows.doctor import project as checks
from freehold.workflows.doctor.examine import site_of
from freehold.workflows.project import now, open_project
from freehold.workflows.serve.background import leave_word, server_file
from freehold.workflows.shift import keys

TODAY, NOW = date(2026, 11, 26), datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RENTED_KEY", raising=False)

    def make(text='[app]\nname = "x"\n'):
        (tmp_path / "freehold.toml").write_text(text)
        return site_of(None, now=now())

    return make


CONFIG = """
[app]
name = "x"
[incumbent]
model = "gpt-4-0125-preview"
base_url = "https://rented.example/v1"
api_key_env = "RENTED_KEY"
[data]
files = ["gone.jsonl"]
"""


def test_what_is_named_and_not_there(site, monkeypatch):
    found = list(checks.check_config(site(CONFIG)))
    assert [one.outcome for one in found] == ["warn", "warn"]
    assert "RENTED_KEY" in found[0].text and "gone.jsonl" in found[1].text
    monkeypatch.setenv("RENTED_KEY", "k")
    assert len(list(checks.check_config(site(CONFIG)))) == 1
    assert [one.outcome for one in checks.check_config(site())] == ["ok"]


def test_a_broken_file_and_a_misspelt_variable_are_told_with_their_hints(site, monkeypatch):
    (one,) = checks.check_config(site('[app]\nnme = "x"\n'))
    assert one.outcome == "fail" and "app.nme" in one.text
    monkeypatch.setenv("FREEHOLD_PRT", "1")
    (one,) = checks.check_config(site())
    assert one.outcome == "fail" and "FREEHOLD_PORT" in one.fix


def test_keys_are_read_from_the_store(site):
    here = site()
    with open_store(f"sqlite:///{here.state / 'freehold.sqlite'}") as store:
        keys.add(store, "app", limits=Limits(), who="t", at=datetime.now(UTC))
        (one,) = checks.check_keys(here)
        assert one.outcome == "ok" and "1 key is in force: app" in one.text
        keys.revoke(store, "app", at=datetime.now(UTC))
    assert [one.outcome for one in checks.check_keys(here)] == ["warn"]
    (here.state / "freehold.sqlite").write_bytes(b"no store" * 200)
    (one,) = checks.check_keys(here)
    assert one.outcome == "warn" and "they cannot be read" in one.text


@pytest.mark.parametrize("loss", ["gone", "empty", "another", "older"])
def test_a_store_that_the_gateway_would_not_believe_is_told_with_the_way_out(site, tmp_path, loss):
    here = site()
    file = here.state / "freehold.sqlite"
    with keys.opened_keys(open_project()) as (store, project):
        keys.add(store, "app", limits=Limits(), who="t", at=now(), project=project)
    assert [one.outcome for one in checks.check_keys(here)] == ["ok"]
    copy = tmp_path / "copy.sqlite"
    shutil.copy(file, copy)
    with keys.opened_keys(open_project()) as (store, project):
        keys.revoke(store, "app", at=now())
    for part in here.state.glob("freehold.sqlite*"):
        part.unlink()
    if loss == "empty":
        file.touch()
    elif loss == "another":
        open_store(f"sqlite:///{file}").close()
    elif loss == "older":
        shutil.copy(copy, file)
    (one,) = checks.check_keys(here)
    assert one.outcome == "fail" and "no client gets in" in one.text and "freehold keys accept" in one.fix
    keys.accept(open_project(), at=now())
    (one,) = checks.check_keys(here)
    assert one.outcome == ("ok" if loss == "older" else "warn")


def key(name, **fields):
    return ApiKey(name=name, hash=name, **fields)


@pytest.mark.parametrize(
    ("known", "how", "outcomes"),
    [
        ([], {}, ["ok"]),
        ([], {"required": True}, ["warn"]),
        ([key("a", revoked_at=NOW)], {}, ["warn"]),
        ([], {"host": "::1"}, ["ok"]),
        ([], {"host": "0.0.0.0"}, ["fail"]),
        ([], {"host": "gateway.example"}, ["fail"]),
        ([key("a")], {"host": "0.0.0.0"}, ["warn", "ok"]),
        ([key("a")], {"host": "0.0.0.0", "tls": True}, ["ok"]),
        ([key("a"), key("b", expires_at=NOW)], {}, ["warn", "ok"]),
    ],
)
def test_who_may_ask(known, how, outcomes):
    how = {"host": "127.0.0.1", "tls": False, "required": False, **how}
    assert [one.outcome for one in checks.judge_keys(known, NOW, **how)] == outcomes


def test_a_port_that_another_program_holds(site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        here = site(f'[app]\nname = "x"\n[serve]\nport = {port}\n')
        (one,) = checks.check_port(here)
        assert one.outcome == "warn" and str(port) in one.text
    (one,) = checks.check_port(here)
    assert one.outcome == "ok"
    (here.state / "engines").mkdir(parents=True)
    leave_word(server_file(here.state / "engines", port), f"http://127.0.0.1:{port}")
    (one,) = checks.check_port(here)
    assert one.outcome == "ok" and "served by this project" in one.text


def test_old_facts_and_an_incumbent_that_stops(site):
    day = max(one.newest for one in ages())

    def judge(today, config='[app]\nname = "x"\n'):
        here = replace(site(config), now=datetime(today.year, today.month, today.day, tzinfo=UTC))
        return [one.outcome for one in checks.check_facts(here)]

    assert judge(day) == ["ok"]
    assert judge(date(day.year + 1, 1, 15)) == ["warn"], "retirement dates first"
    assert judge(date(day.year + 2, 1, 15)) == ["warn"] * len(PARTS)
    days = (date(2025, 1, 1), date(2026, 1, 1), TODAY)
    assert [judge(one, CONFIG)[-1] for one in days] == ["ok", "warn", "fail"]
