"""What an agent may read."""

import json

import pytest

from freehold.agents.mcp.resources import read_resource, resources
from freehold.errors import UsageError


def read(agent, uri):
    return json.loads(read_resource(agent, uri)[1])


def test_records_of_a_migration_are_found_by_what_the_report_names(agent, use):
    made = use("migrate")
    report = read(agent, "freehold://reports/latest")
    assert f"freehold://reports/{report['id']}" == made["report"]
    verdict = report["candidates"][0]["verdict"]
    assert read(agent, f"freehold://records/verdict/{verdict['id']}")["outcome"] == "promote"
    assert read(agent, "freehold://datasets/latest")["id"] == report["dataset"]["id"]
    assert read(agent, f"freehold://datasets/{report['dataset']['id'][:12]}")["splits"]
    assert read(agent, "freehold://evaluations")["list"]
    listed = [one.uri for one in resources(agent.root)]
    assert made["report"] in listed and f"freehold://datasets/{report['dataset']['id']}" in listed


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "freehold://",
        "freehold://project/x",
        "freehold://reports/",
        "freehold://guide/../SKILL",
        "freehold://guide/nothing",
        "freehold://records/trace/1",
        "freehold://records/verdict/1",
        "freehold://reports/4711",
        "freehold://datasets/4711",
    ],
)
def test_addresses_that_lead_nowhere(agent, uri):
    with pytest.raises(UsageError):
        read_resource(agent, uri)


def test_no_folder_is_made_by_looking(agent):
    assert resources(agent.root) and not (agent.root / ".freehold").exists()
    assert read(agent, "freehold://project")["task"]["scorer"] == "label"
    assert not (agent.root / ".freehold").exists()
