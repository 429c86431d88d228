import inspect
import io
import sys

import click
import pytest
from tests.cli.test_documents import COMMANDS, MORE, filled
from tests.documents import ROOT

from freehold.cli import options
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


def test_colours_of_the_first_words_take_no_room(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    first = click.style("done", fg="green", bold=True)
    assert hanging("one two three four five six seven eight nine", f"{first}  ").splitlines() == [
        f"{first}  one two three four five six seven",
        "      eight nine",
    ]
    assert hanging("", f"{first}  ") == ""


def test_a_word_longer_than_the_line_stays_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    path = "/a/very/long/path/" + "x" * 60
    assert path in hanging(f"see {path}", "  ").splitlines()[-1]


def test_the_project_is_found_by_a_file_or_a_folder(freehold, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    for named in (project, project / "freehold.toml"):
        assert freehold("keys", "list", "--config", named, "--json").items == []


def test_without_colour_there_is_none(freehold, monkeypatch, project):
    from click.testing import CliRunner

    from freehold.cli.main import cli

    monkeypatch.delenv("NO_COLOR")
    coloured = CliRunner().invoke(cli, ["fit", "google/gemma-3-270m", "--machine", "L4"], color=True).output
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in freehold("fit", "google/gemma-3-270m", "--machine", "L4").out


@pytest.mark.parametrize(
    "words",
    [
        ("retirements", "gpt-4o"),
        ("settings",),
        ("engines", "list"),
        ("license", "Qwen/Qwen2.5-7B", "--set", "mode=hosted_service"),
        ("compare", "--pairs", "pairs.jsonl", "--margin", "0.02"),
        ("power", "--margin", "0.02", "--discordance", "0.1", "--n", "200"),
    ],
    ids=lambda words: words[0],
)
def test_what_is_told_fits_a_terminal_of_80_columns(freehold, tmp_path, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FREEHOLD_HOME")  # its path is as long as it is
    rows = [f'{{"id": {number}, "a": 1, "b": {int(number % 9 != 0)}}}' for number in range(90)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    shown = freehold(*words).out
    assert shown and max(map(len, shown.splitlines())) <= 80


ROWS = [("route", "asked for", "candidate"), ("tickets", "gpt-4o", "local/" + "m" * 50), ("日本", "*", "–")]


def test_a_table_has_columns_where_they_fit_and_blocks_where_not(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    options.echo_table(ROWS)
    wide = capsys.readouterr().out.splitlines()
    assert len(wide) == 3 and wide[0].index("asked for") == wide[1].index("gpt-4o")
    assert wide[2].startswith("日本     *"), "a wide letter takes two columns"
    monkeypatch.setenv("COLUMNS", "75")
    options.echo_table(ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "tickets",
        "  asked for  gpt-4o",
        "  candidate  local/" + "m" * 50,
        "日本",
        "  asked for  *",
        "  candidate  –",
    ]


OF_VARIABLES = [
    (words, option.opts[0])
    for words, command in COMMANDS.items()
    for option in command.params
    if option.opts[0].endswith("-env")
]


@pytest.mark.parametrize(("words", "option"), OF_VARIABLES)
def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_repeated(
    freehold, tmp_path, words, option
):
    ran = freehold(*words.split(), *MORE.get(words, filled(COMMANDS[words])), option, "sk-secret-1234")
    assert ran.code == 2 and option in ran.err and "not the name of an environment" in ran.err, ran
    assert "secret" not in (ran.out + ran.err).replace("may be a secret", ""), ran


@pytest.mark.parametrize(
    "words",
    [
        "freeze --endpoint",
        "evaluate --endpoint",
        "watch --url",
        "rescue --base-url",
    ],
)
@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("api.example.com", "it is api.example.com, expected http(s)://…; https://api.example.com?"),
        ("https://", "it is https://, which names no host"),
        ("https://a b/v1", "which has a space in it"),
        ("ftp://me:pass@host", "it is an address, expected http(s)://…"),
    ],
)
def test_what_cannot_be_an_address_is_refused_before_anything_is_asked(freehold, project, words, url, wrong):
    ran = freehold(*words.split(), url)
    assert ran.code == 2 and f"Invalid value for '{words.split()[1]}': " in ran.err and wrong in ran.err
    assert "pass" not in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quants", "m", "--margin", "0.1"], "--margin goes with --measure"),
        (["migrate", "--dir", "x"], "--dir goes with --all"),
        (["mcp", "--port", "3"], "--port goes with --http"),
        (["watch", "--history", "--budget", "3"], "--budget does not go with --history"),
        (["report", "abc", "--evaluations"], "REPORT_ID does not go with --evaluations"),
        (["power", "--margin", "0.1", "--sd", "1", "--discordance", "0.2"], "--discordance does not go with --sd"),
        (["evaluate", "--a", "x", "--b", "y", "--dataset", "d"], "--dataset does not go with --a"),
        (["evaluate", "--endpoint", "http://u", "--gold", "f"], "--gold goes with --a"),
        (["load", "--traces", "--requests", "f"], "--requests does not go with --traces"),
    ],
)  # fmt: skip
def test_what_would_be_passed_over_in_silence_is_refused(freehold, project, words, said):
    ran = freehold(*words)
    assert ran.code == 2 and f"Error: {said}" in ran.err and ran.out == ""


@pytest.mark.parametrize(
    ("words", "way_out"), [("keys accept", "--yes agrees"), ("license init", "--set KEY=VALUE answers")]
)
@pytest.mark.parametrize("stdin", [None, ""])
def test_a_question_without_input_says_which_option_answers(
    project, refused, monkeypatch, words, way_out, stdin
):
    monkeypatch.setattr("sys.stdin", None if stdin is None else io.StringIO(stdin))
    refused(*words.split(), message="no input to read an answer from", hint=way_out)
    sys.stdin.close()


def test_a_person_who_declines_has_stopped_the_command(project, freehold, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert freehold("keys", "accept").code == 130


def test_every_question_of_a_command_is_asked_that_way():
    asking = {
        path.name for path in (ROOT / "src/freehold/cli").rglob("*.py") if "abort=True" in path.read_text()
    }
    assert asking == {"options.py"}
    assert all(
        any("--yes" in option.opts for option in COMMANDS[words].params)
        for words in COMMANDS
        if "agree(" in inspect.getsource(inspect.unwrap(COMMANDS[words].callback))
    )
