import pytest
from tests.workflows.journey.test_migrate import project as rehearsed


@pytest.fixture
def rehearsal(tmp_path):
    """A project whose whole journey takes seconds: on the echo engine, with personal data found by patterns."""

    def make(**changes):
        rehearsed(tmp_path, **changes)
        with (tmp_path / "freehold.toml").open("a") as file:
            file.write('[curate]\npersonal_data = "patterns"\n')

    return make


def test_the_exit_code_is_the_verdicts_and_the_page_is_named(freehold, rehearsal):
    rehearsal()
    ran = freehold("migrate", "--no-serve")
    assert ran.code == 0
    assert "\n  verdict    promote\n" in ran.out
    assert "\nreport     " in ran.out and "\nserve it   freehold up\n" in ran.out
    again = freehold("migrate", "--no-serve", "--json")
    assert again.json["migration"]["best"]["verdict"]["outcome"] == "promote"
    assert again.json["endpoint"] is None
    assert "unchanged since the last run" in again.err


@pytest.mark.parametrize(("changes", "code"), [({"lamp": "sofa"}, 1), ({"margin": 0.01, "rows": 60}, 3)])
def test_a_bad_candidate_ends_with_1_and_an_open_question_with_3(freehold, rehearsal, changes, code):
    rehearsal(**changes)
    assert freehold("migrate", "--no-serve").code == code


def test_mistakes(refused, project):
    refused("migrate", "--config", "gone.toml", message="gone.toml: no such file", hint="freehold init")
    refused("migrate", message="there is no traffic to learn from", hint="freehold up")
