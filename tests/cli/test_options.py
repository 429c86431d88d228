import pytest

from freehold.cli.options import hanging, short_count


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        (362e6, "362M"),
        (999.4e6, "999M"),
        (999.5e6, "1.0B"),
        (27e9, "27.0B"),
        (999.95e9, "1.00T"),
        (1.03e12, "1.03T"),
    ],
)
def test_parameters_are_counted_as_people_do(parameters, shown):
    assert short_count(int(parameters)) == shown


def test_later_lines_hang_under_the_first(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    assert hanging("one two three four five six seven eight nine", "  · ").splitlines() == [
        "  · one two three four five six seven eight",
        "    nine",
    ]
    assert hanging("one " * 12, "ranked by ", "  ").splitlines()[1].startswith("  one")


def test_a_word_longer_than_the_line_stays_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    path = "/a/very/long/path/" + "x" * 60
    assert path in hanging(f"see {path}", "  ").splitlines()[-1]


def test_the_project_is_found_by_a_file_or_a_folder(freehold, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    for named in (project, project / "freehold.toml"):
        assert freehold("keys", "list", "--config", named, "--json").json == []


def test_without_colour_there_is_none(freehold, monkeypatch, project):
    from click.testing import CliRunner

    from freehold.cli.main import cli

    coloured = CliRunner().invoke(cli, ["fit", "google/gemma-3-270m", "--machine", "L4"], color=True).output
    assert "\x1b[" in coloured
    assert "\x1b[" not in freehold("fit", "google/gemma-3-270m", "--machine", "L4").out
