"""A rollout does not begin where the engine would skip what the traffic's schemas say."""

import json

import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.shift.shifting import ROUTE, trace

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import default_url, open_store
from freehold.types.endpoint import ServePlan
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout.project import check_schemas, skipped

EMAIL = {"type": "object", "properties": {"to": {"type": "string", "format": "email"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "mail", "schema": EMAIL}}
ASKED = {"messages": [{"role": "user", "content": "write"}], "response_format": FORM}


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


def serving(store, engine):
    store.put(ServePlan(engine=engine, model="base"))


def test_the_traffics_schemas_are_held_against_the_engine(store):
    store.add_traces([trace(1, request=ASKED), trace(2, request=ASKED)])
    check_schemas(store, ROUTE)  # nothing is known to be served yet
    serving(store, "llamacpp")
    with pytest.raises(
        UsageError, match=r"llamacpp cannot hold .*\$\.properties\.to: format email$"
    ) as error:
        check_schemas(store, ROUTE)
    assert "--loose-schemas" in error.value.hint
    unguarded = msgspec.structs.replace(ROUTE, guard=msgspec.structs.replace(ROUTE.guard, schema=False))
    check_schemas(store, unguarded)
    serving(store, "vllm")
    check_schemas(store, ROUTE)


def test_another_models_traffic_does_not_count(store):
    store.add_traces([trace(1, request=ASKED, model="another")])
    serving(store, "llamacpp")
    check_schemas(store, ROUTE)


def test_tools_count_where_they_are_strict():
    def asked(**more):
        tool = {"type": "function", "function": {"name": "mail", "parameters": EMAIL, **more}}
        return trace(1, request={"messages": [], "tools": [tool, "nonsense"]})

    assert skipped([asked()], "llamacpp") == []
    assert skipped([asked(strict=True), asked(strict=True)], "llamacpp") == ["$.properties.to: format email"]


def test_the_command_says_so_and_can_be_told_to_go_on(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[task]\nscorer = "exact"\nmargin = 0.1\n'
    )
    monkeypatch.chdir(tmp_path)
    with open_store(open_project(None).store_url) as store:
        store.add_traces([trace(1, request=ASKED)])
        serving(store, "llamacpp")
    refused = CliRunner().invoke(cli, ["rollout", "start"])
    assert isinstance(refused.exception, UsageError) and "format email" in refused.exception.message
    begun = CliRunner().invoke(cli, ["rollout", "start", "--loose-schemas", "--json"])
    assert json.loads(begun.stdout)["state"] == "shadow"
