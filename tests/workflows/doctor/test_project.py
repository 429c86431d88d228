"""The project's checks: variables and files it names, who may ask, its port, the age of facts."""

import shutil
import socket
from datetime import UTC, date, datetime

import pytest

from freehold.catalog.freshness import PARTS
from freehold.store import open_store
from freehold.types.route import Limits
from freehold.workflows.doctor import project as checks
from freehold.workflows.doctor.examine import site_of
from freehold.workflows.project import now, open_project
from freehold.workflows.shift import keys

TODAY = date(2026, 11, 26)


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
    found = list(checks.judge_config(checks.look_at_config(site(CONFIG))))
    assert [one.outcome for one in found] == ["warn", "warn"]
    assert "RENTED_KEY" in found[0].text and "gone.jsonl" in found[1].text
    monkeypatch.setenv("RENTED_KEY", "k")
    assert len(list(checks.judge_config(checks.look_at_config(site(CONFIG))))) == 1
    assert [one.outcome for one in checks.judge_config(checks.look_at_config(site()))] == ["ok"]


def test_a_broken_file_and_a_misspelt_variable_are_told_with_their_hints(site, monkeypatch):
    (one,) = checks.judge_config(checks.look_at_config(site('[app]\nnme = "x"\n')))
    assert one.outcome == "fail" and "app.nme" in one.text
    monkeypatch.setenv("FREEHOLD_PRT", "1")
    (one,) = checks.judge_config(checks.look_at_config(site()))
    assert one.outcome == "fail" and "FREEHOLD_PORT" in one.fix


def test_keys_are_read_from_the_store(site):
    here = site()
    with open_store(f"sqlite:///{here.state / 'freehold.sqlite'}") as store:
        keys.add(store, "app", limits=Limits(), who="t", at=datetime.now(UTC))
        assert checks.look_at_keys(here).in_force == ("app",)
        keys.revoke(store, "app", at=datetime.now(UTC))
    facts = checks.look_at_keys(here)
    assert (facts.in_force, facts.ended) == ((), 1)
    assert [one.outcome for one in checks.judge_keys(facts)] == ["warn"]


@pytest.mark.parametrize("loss", ["gone", "empty", "another", "older"])
def test_a_store_that_the_gateway_would_not_believe_is_told_with_the_way_out(site, tmp_path, loss):
    here = site()
    file = here.state / "freehold.sqlite"
    with keys.opened_keys(open_project()) as (store, project):
        keys.add(store, "app", limits=Limits(), who="t", at=now(), project=project)
    assert [one.outcome for one in checks.judge_keys(checks.look_at_keys(here))] == ["ok"]
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
    (one,) = checks.judge_keys(checks.look_at_keys(here))
    assert one.outcome == "fail" and "no client gets in" in one.text and "freehold keys accept" in one.fix
    keys.accept(open_project(), at=now())
    (one,) = checks.judge_keys(checks.look_at_keys(here))
    assert one.outcome == ("ok" if loss == "older" else "warn")


@pytest.mark.parametrize(
    ("facts", "outcomes"),
    [
        ({"host": "127.0.0.1"}, ["ok"]),
        ({"host": "127.0.0.1", "required": True}, ["warn"]),
        ({"host": "127.0.0.1", "refused": ("the store is gone", "bring it back")}, ["fail"]),
        ({"host": "::1"}, ["ok"]),
        ({"host": "0.0.0.0"}, ["fail"]),
        ({"host": "gateway.example"}, ["fail"]),
        ({"host": "0.0.0.0", "in_force": ("a",)}, ["warn", "ok"]),
        ({"host": "0.0.0.0", "in_force": ("a",), "tls": True}, ["ok"]),
        ({"host": "127.0.0.1", "in_force": ("a",), "expired": ("b",)}, ["warn", "ok"]),
        ({"host": "127.0.0.1", "unknown": "locked"}, ["warn"]),
    ],
)
def test_who_may_ask(facts, outcomes):
    assert [one.outcome for one in checks.judge_keys(checks.KeyFacts(**{"tls": False, **facts}))] == outcomes


def test_a_port_that_another_program_holds(site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        here = site(f'[app]\nname = "x"\n[serve]\nport = {port}\n')
        (one,) = checks.judge_port(checks.look_at_port(here))
        assert one.outcome == "warn" and str(port) in one.text
    (one,) = checks.judge_port(checks.look_at_port(here))
    assert one.outcome == "ok"
    own = checks.PortFacts(host="127.0.0.1", port=port, taken=True, own=(f"http://127.0.0.1:{port}",))
    assert [one.outcome for one in checks.judge_port(own)] == ["ok"]


def test_old_facts_and_an_incumbent_that_stops(site):
    facts = checks.look_at_facts(site(CONFIG))
    assert facts.shutdown == date(2026, 3, 26) and {one.part for one in facts.dates} == set(PARTS)
    day = max(one.newest for one in facts.dates)
    judge = lambda today, shutdown=None: [  # noqa: E731
        one.outcome
        for one in checks.judge_facts(
            checks.FactFacts(today=today, dates=facts.dates, incumbent="gpt", shutdown=shutdown)
        )
    ]
    assert judge(day) == ["ok"]
    assert judge(date(day.year + 1, 1, 15)) == ["warn"], "retirement dates first"
    assert judge(date(day.year + 2, 1, 15)) == ["warn"] * len(PARTS)
    assert judge(day, date(2030, 1, 1)) == ["ok", "ok"]
    assert judge(TODAY, date(2027, 1, 1))[-1] == "warn" and judge(TODAY, date(2026, 1, 1))[-1] == "fail"
