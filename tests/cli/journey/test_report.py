from pathlib import Path

from tests.workflows.journey.test_migrate import project as rehearsal


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
