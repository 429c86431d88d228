from tests.workflows.journey.rehearsal import project


def test_all_projects_of_a_folder_are_migrated(freehold, refused, tmp_path, monkeypatch):
    for name, changes in {"good": {}, "bad": {"lamp": "sofa"}}.items():
        (tmp_path / "tasks" / name).mkdir(parents=True)
        project(tmp_path / "tasks" / name, **changes)
    monkeypatch.chdir(tmp_path / "tasks")
    ran = freehold("migrate", "--all")
    assert ran.code == 1
    assert "  promote  " in ran.out and "  reject  " in ran.out and "\nreport  tasks.html" in ran.out
    told = freehold("migrate", "--all", "--json").json
    assert {one["outcome"] for one in told["projects"]} == {"promote", "reject"}
    refused("migrate", "--all", "--config", "x.toml", message="--all and --config exclude each other")
    for option in ("--dry-run", "--anyway"):
        refused("migrate", "--all", option, message="--all takes neither")
    monkeypatch.chdir(tmp_path / "tasks" / "good")
    refused(
        "migrate", "--all", message="no project in a folder right below it", hint="freehold init FILE --all"
    )
