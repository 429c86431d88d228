from pathlib import Path

from tests.workflows.journey.test_migrate import project as rehearsal
from tests.workflows.tell.facts import STAGES, facts

from freehold.cli.output import show
from freehold.cli.status import state_view
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
    assert ran.code == 2 and "cannot be read" in ran.out and "freehold doctor" in ran.out
    assert freehold("status", "--json").json["stage"] == "broken"


def test_words_of_strangers_cannot_steer_the_terminal(capsys):
    hostile = facts(**{**STAGES["imported"], "app": "a\x1b[2Jb\u202e", "incumbent": "x" + "\u0301" * 100_000})
    show(state_view(journey_state(hostile)))
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out and "\u202e" not in out


def test_the_page_of_the_last_migration_is_written_again(freehold, tmp_path):
    rehearsal(tmp_path, rows=120)
    made = freehold("migrate", "--no-serve", "--json").json["migration"]
    page = Path(made["written"]["html"])
    page.unlink()
    assert freehold("report").out == f"{page}\n"
    assert page.read_text().startswith("<!")
    assert freehold("report", made["report"]["id"], "--json").json["id"] == made["report"]["id"]


def test_mistakes(refused, project):
    refused("report", message="no report yet", hint="freehold migrate")
    refused("report", "abc", message="no report abc", hint="freehold migrate")
