"""The console's buttons go through the workflows of the commands."""

from datetime import UTC, datetime

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.shift.shifting import START
from tests.workflows.tell.views import evidence

from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.workflows.project import open_project
from freehold.workflows.shift import keys
from freehold.workflows.tell import buttons
from freehold.workflows.tell.buttons import KeyNameBody, NewKeyBody, add_key, revoke_key
from freehold.workflows.tell.views.labelling import desk_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_a_key_is_made_told_once_and_revoked(project, store):
    body = NewKeyBody(name="eu", role="read", expires="90d", requests_per_minute="60", usd_per_day="2.5")
    made = add_key(project, store, body, who="ada", at=START)
    found = keys.shown(store, made.secret, at=START)
    assert found is not None and (found.role, found.limits.requests_per_minute) == ("read", 60)
    assert str(found.limits.usd_per_day) == "2.5" and found.made_by == "ada"
    assert project.keys_file.exists(), "an older copy of the store would be noticed"
    revoke_key(project, store, KeyNameBody(name="eu"), who="bo", at=START)
    assert keys.shown(store, made.secret, at=START) is None
    assert [(one.action, one.who) for one in audit.entries(store.database)] == [
        ("key.add", "ada"),
        ("key.revoke", "bo"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a/b"},
        {"expires": "soon"},
        {"requests_per_minute": "many"},
        {"usd_per_day": "-1"},
        {"routes": "nothing, here"},
    ],
)
def test_what_a_key_cannot_be_is_refused_and_none_is_made(project, store, wrong):
    with pytest.raises(UsageError):
        add_key(project, store, NewKeyBody(**{"name": "x"} | wrong), who="ada", at=START)
    assert keys.listed(store, at=START) == []


AT = datetime(2026, 11, 29, tzinfo=UTC)
BY = {"who": "ada", "at": AT}


def test_a_label_and_back(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    made = evidence.with_proof(project, hostile=False)
    with open_store(project.store_url) as store:
        pair = desk_of(project).pair(made.id)
        body = buttons.PairBody(evaluation=made.id, pair=pair.pair_id, choice="left")
        assert buttons.label(project, store, body, **BY).labelled == pair.labelled + 1
        with pytest.raises(UsageError):
            buttons.label(project, store, body, **BY)
        back = buttons.undo_label(project, store, buttons.UndoBody(evaluation=made.id), **BY)
        assert back.pair_id == pair.pair_id
