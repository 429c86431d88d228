from datetime import date


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


def test_an_unknown_model_is_said_so(freehold):
    ran = freehold("retirements", "my-own-model")
    assert (ran.code, ran.out) == (0, "")
    assert "no shutdown date is known here" in ran.err


def test_an_incumbent_that_does_not_answer(refused, project):
    refused("retirements", "--ask", message="http://127.0.0.1:1/v1/models did not answer")
