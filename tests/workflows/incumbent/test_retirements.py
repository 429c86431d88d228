import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner
from tests.gateway.loopback import FakeUpstream, plain

from freehold.cli.main import cli
from freehold.costs.prices import asking_cost
from freehold.errors import UpstreamError, UsageError
from freehold.types.trace import Usage
from freehold.workflows.incumbent import retirements as workflow
from freehold.workflows.project import open_project

DAY = date(2026, 11, 24)


def test_all_still_to_come_are_sorted_and_limited():
    found = workflow.notices(as_of=DAY, within_days=60)
    assert [one.shutdown for one in found] == sorted(one.shutdown for one in found)
    assert found[0].days_left >= 0
    assert any(one.model == "claude-sonnet-4-5-20250929" and one.days_left == 6 for one in found)
    assert all(one.days_left <= 60 for one in found)


@pytest.fixture
def vendor():
    upstream = FakeUpstream()
    answers = {"status": 200, "body": b"{}", "seen": None, "url": f"{upstream.base_url}/v1"}

    def told(seen):
        answers["seen"] = (seen.path, seen.headers.get("authorization"))
        return plain(answers["body"], status=answers["status"])

    upstream.answer = told
    yield answers
    upstream.close()


def project_at(tmp_path, url):
    (tmp_path / "freehold.toml").write_text(
        f'[app]\nname = "a"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{url}"\napi_key_env = "TEST_KEY"\n'
    )
    return open_project(tmp_path / "freehold.toml")


def test_the_vendor_is_asked_and_wins(tmp_path, monkeypatch, vendor):
    monkeypatch.setenv("TEST_KEY", "sk-1")
    vendor["body"] = json.dumps(
        {"data": [{"id": "gpt-4o", "shutdown_date": "2027-02-01"}, {"id": "new", "shutdown_date": 1803859200},
                  {"id": "odd", "shutdown_date": "soon"}, {"id": "none"}, 7]}
    ).encode()  # fmt: skip
    asked = workflow.ask(project_at(tmp_path, vendor["url"]))
    assert vendor["seen"] == ("/v1/models", "Bearer sk-1")
    assert set(asked) == {"gpt-4o", "new"}
    own, azure = workflow.notices(("gpt-4o",), as_of=DAY, asked=asked)
    assert (own.shutdown, own.asked, own.stale) == (date(2027, 2, 1), date(2027, 2, 1), False)
    assert azure.asked is None
    (unlisted,) = workflow.notices(("new",), as_of=DAY, asked=asked)
    assert unlisted.source == "the vendor's /v1/models"


def test_asking_fails_plainly(tmp_path, monkeypatch, vendor):
    project = project_at(tmp_path, vendor["url"])
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(UsageError, match="TEST_KEY is not set"):
        workflow.ask(project)
    monkeypatch.setenv("TEST_KEY", "wrong")
    vendor["status"] = 401
    with pytest.raises(UpstreamError, match="answered 401"):
        workflow.ask(project)
    vendor["status"], vendor["body"] = 200, b"<html>"
    with pytest.raises(UpstreamError, match="did not answer"):
        workflow.ask(project)


def test_the_incumbent_is_asked_by_itself_when_its_key_is_there(tmp_path, monkeypatch, vendor):
    project_at(tmp_path, vendor["url"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEST_KEY", raising=False)
    vendor["body"] = b'{"data": [{"id": "gpt-4o", "shutdown_date": "2027-02-01"}]}'
    asked = ["retirements", "--as-of", "2026-11-24"]
    assert "2027-01-14" in CliRunner().invoke(cli, asked).stdout
    assert vendor["seen"] is None
    monkeypatch.setenv("TEST_KEY", "sk-1")
    told = CliRunner().invoke(cli, asked).stdout
    assert "2027-02-01" in told
    assert "the vendor's /v1/models" in told
    vendor["seen"] = None
    CliRunner().invoke(cli, [*asked, "--no-ask"])
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    CliRunner().invoke(cli, asked)
    assert vendor["seen"] is None
    monkeypatch.delenv("FREEHOLD_OFFLINE")
    vendor["status"] = 500
    late = CliRunner().invoke(cli, asked)
    assert late.exit_code == 0
    assert "answered 500: dates are those of the catalog" in late.stderr
    assert isinstance(CliRunner().invoke(cli, [*asked, "--ask"]).exception, UpstreamError)


AT = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)


def test_requests_are_added_up_at_the_makers_price_where_it_is_known():
    assert asking_cost("gpt-4o", [MILLION, None, MILLION], at=AT) == Decimal("7")
    assert asking_cost("my-own-model", [MILLION]) is None
    assert asking_cost("gpt-4o", []) is None
    assert asking_cost("gpt-4o", [None, Usage(completion_tokens=5)]) is None
