from datetime import date

import pytest


def test_a_date_has_its_source(freehold):
    found = freehold("retirements", "gpt-4o", "--platform", "openai", "--as-of", "2026-01-01", "--json").items
    (notice,) = found
    days = (date.fromisoformat(notice["shutdown"]) - date(2026, 1, 1)).days
    assert (notice["asked_as"], notice["days_left"]) == ("gpt-4o", days)
    assert notice["source"]
    shown = freehold("retirements", "gpt-4o", "--platform", "openai", "--as-of", "2026-01-01").out
    assert f"{notice['shutdown']}  in {days} days" in shown


def test_the_projects_incumbent_is_looked_up_without_a_name(freehold, project):
    found = freehold("retirements", "--as-of", "2026-01-01", "--json").items
    assert {notice["asked_as"] for notice in found} <= {"gpt-4o", None}
    assert found


def test_a_shutdown_that_is_near_fails_a_build(freehold):
    assert freehold("retirements", "gpt-4o", "--as-of", "2026-01-01", "--fail-within", "90").code == 0
    assert freehold("retirements", "gpt-4o", "--as-of", "2027-01-10", "--fail-within", "90").code == 1


@pytest.mark.parametrize("model", ["text-davinci-003", "claude-2.1", "grok-beta", "groq/llama3-70b-8192"])
def test_a_model_that_is_gone_fails_a_build(freehold, model):
    assert freehold("retirements", model, "--as-of", "2026-11-27", "--fail-within", "0").code == 1
    assert freehold("retirements", model, "--as-of", "2026-11-27").code == 0


def test_a_hosts_end_fails_only_who_uses_the_host(freehold):
    asked = ["--as-of", "2026-11-27", "--fail-within", "30"]
    assert freehold("retirements", "claude-opus-4-5", *asked).code == 0
    assert freehold("retirements", "azure/claude-opus-4-5", *asked).code == 1
    assert freehold("retirements", "claude-opus-4-5", "--platform", "azure", *asked).code == 1


def test_a_model_without_a_day_says_what_is_known(freehold):
    shown = freehold("retirements", "command-r").out
    assert "no day" in shown
    assert "command-r, deprecated → command-r-08-2024" in shown
    (notice,) = freehold("retirements", "grok-beta", "--json").items
    assert (notice["status"], notice["shutdown"], notice["days_left"]) == ("gone", None, None)
