"""The demo's real path is in tests/workflows/journey/test_demo.py, with real weights."""


def test_the_folder_cannot_be_a_file(freehold, tmp_path):
    (tmp_path / "taken").write_text("")
    ran = freehold("demo", "--dir", "taken")
    assert ran.code == 2
    assert "--dir" in ran.err and "Traceback" not in ran.err


def test_a_project_of_another_kind_in_the_folder_is_told_before_anything_runs(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text("[ap]\n")
    refused("demo", "--dir", "mine", message="unknown key ap", hint="did you mean app?")


def test_the_folder_of_another_example_is_refused_and_left_alone(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text('[app]\nname = "tickets"\n')
    refused(
        "demo", "--dir", "mine", "--example", "helpdesk",
        message="holds another project (tickets), not the example helpdesk", hint="--dir FOLDER",
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["freehold.toml"]
