import inspect
import io
import sys

import pytest
from tests.cli.test_documents import COMMANDS, MORE, filled
from tests.documents import ROOT


def test_the_project_is_found_by_a_file_or_a_folder(freehold, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    for named in (project, project / "freehold.toml"):
        assert freehold("keys", "list", "--config", named, "--json").items == []


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
        "evaluate --endpoint",
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
        (["quants", "m", "--quant", "Q8_0"], "--quant goes with --measure"),
        (["watch", "--history", "--budget", "3"], "--budget does not go with --history"),
        (["report", "abc", "--evaluations"], "REPORT_ID does not go with --evaluations"),
        (["power", "--margin", "0.1", "--sd", "1", "--discordance", "0.2"], "--discordance does not go with --sd"),
        (["evaluate", "--a", "x", "--b", "y", "--fresh"], "--fresh does not go with --a"),
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
