import pytest
from tests.workflows.tell.facts import STAGES, facts

from freehold.cli.journey.status import show_state
from freehold.types.evidence import EvidenceAge
from freehold.workflows.tell.next_step import journey_state


def test_an_empty_folder_says_what_to_do_first(freehold, tmp_path):
    ran = freehold("status")
    assert ran.code == 0 and ran.err == ""
    assert "There is no project here yet." in ran.out and "freehold init LOG" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_a_project_with_traffic_says_the_next_step_in_both_forms(freehold, traffic):
    ran = freehold("status")
    assert ran.code == 0
    assert "80 traces" in ran.out and "freehold dataset build" in ran.out
    told = freehold("status", "--json").json
    assert (told["stage"], told["next"]["command"]) == ("imported", "freehold dataset build")
    assert told["schema"] == "freehold.status/1"
    freehold("dataset", "build")
    assert freehold("status", "--json").json["stage"] == "built"


def test_a_broken_store_is_told_with_a_way_out(freehold, project):
    (project / ".freehold").mkdir()
    (project / ".freehold" / "freehold.sqlite").write_bytes(b"x" * 4096)
    ran = freehold("status")
    assert ran.code == 2 and "cannot be read" in ran.out and "freehold doctor --problems" in ran.out
    assert freehold("status", "--json").json["stage"] == "broken"


@pytest.mark.parametrize("stage", STAGES)
def test_it_fits_eighty_columns_without_colour(stage, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    stale = EvidenceAge(
        gate="quality", record_id="c", made_at=None, days=None, max_age_days=90,
        stale=("the dataset is another one",), renew="freehold migrate",
    )  # fmt: skip
    known = {**STAGES[stage], "incumbent": "gpt-4o-2024-08-06"}
    show_state(journey_state(facts(**known, **({} if stage == "broken" else {"evidence": (stale,)}))))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80, out


def test_words_of_strangers_cannot_steer_the_terminal(capsys):
    hostile = facts(**{**STAGES["imported"], "app": "a\x1b[2Jb\u202e", "incumbent": "x" + "\u0301" * 100_000})
    show_state(journey_state(hostile))
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out and "\u202e" not in out
