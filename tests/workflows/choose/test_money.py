import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from freehold.catalog.rentals import rental_price
from freehold.cli.main import cli
from freehold.store import open_store
from freehold.types.trace import Trace, Usage
from freehold.workflows.project import open_project

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return open_project()


def test_assess_has_a_money_column_and_a_sentence(project, monkeypatch):
    (project.root / "freehold.toml").write_text('[app]\nname = "x"\n[incumbent]\nmodel = "gpt-5.4"\n')
    start = datetime(2026, 11, 1, tzinfo=UTC)
    with open_store(f"sqlite:///{project.state}/freehold.sqlite") as store:
        store.add_traces(
            Trace(
                id=f"t{number}", at=start + timedelta(hours=number), source="import:x", model="gpt-5.4",
                request={"messages": [{"role": "user", "content": "hi"}]},
                response={"choices": [], "usage": {"completion_tokens_details": {"reasoning_tokens": 7}}},
                usage=Usage(prompt_tokens=800, completion_tokens=120),
            )
            for number in range(48)
        )  # fmt: skip
    arguments = ["assess", "Qwen/Qwen3-8B", "--machine", "L4"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    record = json.loads(result.stdout)
    assert record["advice"] == "stay"  # a few hundred requests a month never pay a machine
    assert record["money"].startswith("Stay on the API")
    rent = rental_price("L4 24GB").usd_per_hour
    low, high = (float(end) for end in record["rows"][0]["usd_per_month"])
    assert (low, high) == pytest.approx((float(rent.low) * 730.5, float(rent.high) * 730.5))
    assert "/month" in CliRunner().invoke(cli, arguments).stdout
    monkeypatch.setenv("COLUMNS", "80")
    narrow = CliRunner().invoke(cli, arguments).stdout.splitlines()
    at = next(at for at, line in enumerate(narrow) if "Qwen/Qwen3-8B" in line)
    assert narrow[at - 1].endswith("tokens/s")
    assert max(map(len, narrow[at - 1 : at + 2])) < 80
    assert narrow[at + 1].strip() == f"· ${low:,.0f}–{high:,.0f} a month"


def test_assess_says_what_is_missing_for_money(project):
    result = CliRunner().invoke(cli, ["assess", "Qwen/Qwen3-8B", "--machine", "L4"])
    assert "not decidable by cost: no incumbent is named" in result.stdout
    (project.root / "freehold.toml").write_text('[app]\nname = "x"\n[incumbent]\nmodel = "gpt-5.4"\n')
    result = CliRunner().invoke(cli, ["assess", "Qwen/Qwen3-8B", "--machine", "L4"])
    assert "no traffic to price" in result.stdout
