"""How the command line reads numbers and paths, and breaks its help."""

import inspect
import io
import sys
from decimal import Decimal

import click
import pytest
from tests.cli.test_documents import COMMANDS, MORE, filled
from tests.documents import ROOT

from freehold.cli.options import low_high, number
from freehold.workflows.project import open_project


def test_the_project_is_found_by_a_file_or_a_folder(freehold, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    for named in (project, project / "freehold.toml"):
        assert freehold("keys", "list", "--config", named, "--json").items == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("task.margn=1", "--set: unknown key task.margn"),
        ("task.margin=5", "--set: task.margin is 5.0, expected between 0 and 1"),
        ("task.margin=much", "--set: task.margin: Expected `float`, got `str`"),
        ("task.scorer=exakt", "--set: task.scorer: "),
        ("train.r.x=1", "--set train.r.x=1: expected TABLE.KEY=VALUE"),
        (
            "incumbent.api_key_env=sk-secret-1234",
            "--set: incumbent.api_key_env is not the name of an environment",
        ),
        ("endpoints.name=x", "--set endpoints.name=x: expected TABLE.KEY=VALUE"),
        ("task", "--set task: expected TABLE.KEY=VALUE"),
    ],
)
def test_a_key_on_the_command_line_is_read_as_the_file_is(freehold, project, change, said):
    (project / "freehold.toml").write_text(
        '[app]\nname = "a"\n[[endpoints]]\nname = "x"\nbase_url = "http://x/v1"\n[train]\nr = 8\n'
    )
    ran = freehold("keys", "list", "--set", change)
    assert ran.code == 2 and f"error: {said}" in ran.err and "secret-1234" not in ran.err, ran


def test_a_key_on_the_command_line_goes_before_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ("task.scorer=label", 'task.options.labels=["a b"]', "incumbent.model=gpt-4o")
    assert open_project(changes=changes).config.incumbent.model == "gpt-4o"
    (tmp_path / "freehold.toml").write_text('[app]\nname = "a"\n[task]\nmargin = 0.1\noptions = { x = 1 }\n')
    task = open_project(changes=changes).config.task
    assert (task.scorer, task.margin, task.options) == ("label", 0.1, {"x": 1, "labels": ["a b"]})


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
        (["fit", "m", "--train", "lora", "--engine", "vllm"], "--engine does not go with --train"),
        (["fit", "m", "--quant", "Q8_0", "--quant", "Q4_0"], "several --quant go with --measure answers"),
        (["watch", "--history", "--once"], "--once does not go with --history"),
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


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2.5", "2.5"), ("$2.50", "2.50"), ("3 USD", "3"), ("2,000,000", "2000000"), ("2_000_000", "2000000"),
        ("1,234.5", "1234.5"), (".5", "0.5"), ("5.", "5"), ("2e6", "2e6"), ("-1", "-1"),
    ],
)  # fmt: skip
def test_numbers_are_read_exactly(said, meant):
    assert number(said) == Decimal(meant)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("2,5", "decimal comma"), ("0,60", "decimal comma"), ("1.234,5", "decimal comma"), ("2,", "decimal comma"),
        ("1,2,3", "is not a number"), ("1,23,456", "is not a number"), ("12_", "is not a number"),
        ("_", "is not a number"), ("", "is not a number"), (".", "is not a number"), ("e5", "is not a number"),
        ("--5", "is not a number"), ("1.2.3", "is not a number"), ("٣", "is not a number"),
        ("nan", "US dollars"), ("5 EUR", "US dollars"), ("1e999", "more than"), ("9" * 16, "more than"),
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(said, why):
    with pytest.raises(click.BadParameter, match=why):
        number(said)


def test_a_range_has_two_ends_in_order():
    ends = low_high("2-3.5")
    assert (ends.low, ends.high) == (Decimal(2), Decimal("3.5"))
    assert low_high("1e-1-2E-1").high == Decimal("0.2") and low_high("5e-1").low == Decimal("0.5")
    for said, why in (
        ("2-", "no upper end"),
        ("-2", "below 0"),
        ("3-2", "ends below"),
        ("0,6-0,9", "decimal"),
    ):
        with pytest.raises(click.BadParameter, match=why):
            low_high(said)


def taking(number):
    for words, command in COMMANDS.items():
        for option in command.params:
            kinds = option.type.types if isinstance(option.type, click.Tuple) else [option.type]
            counts = getattr(option, "count", False)
            if any(isinstance(kind, number) for kind in kinds) and not counts:
                yield words, option.opts[0]


def given(words, option, value):
    command = COMMANDS[words]
    kind = next(one.type for one in command.params if option in one.opts)
    values = [value] * (len(kind.types) if isinstance(kind, click.Tuple) else 1)
    return [*words.split(), *MORE.get(words, filled(command)), option, *values]


@pytest.mark.parametrize("value", ["nan", "1e999"])
@pytest.mark.parametrize(("words", "option"), list(taking(click.types.FloatParamType)))
def test_every_float_is_finite(freehold, tmp_path, words, option, value):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, value))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "is not a finite number" in ran.err or "is not in the range" in ran.err, ran.err


@pytest.mark.parametrize(("words", "option"), list(taking(click.types.IntParamType)))
def test_every_integer_fits_into_64_bits(freehold, tmp_path, words, option):
    (tmp_path / "file.txt").write_text("")
    ran = freehold(*given(words, option, "9" * 25))
    assert ran.code == 2 and ran.out == "", ran
    assert option in ran.err, ran.err
    assert "too large a number" in ran.err or "is not in the range" in ran.err, ran.err


PATHS = [
    (words, one)
    for words, command in COMMANDS.items()
    for one in command.params
    if isinstance(one.type, click.Path)
]


@pytest.mark.parametrize(("words", "parameter"), PATHS, ids=lambda one: getattr(one, "name", one))
def test_an_empty_path_is_not_the_current_folder(words, parameter):
    with pytest.raises(click.BadParameter, match="names no path"):
        parameter.type.convert("", parameter, None)


REQUIRED = [
    words
    for words, command in COMMANDS.items()
    if any(isinstance(option, click.Option) and option.required for option in command.params)
]


@pytest.mark.parametrize("words", REQUIRED)
def test_a_required_option_that_is_not_given_is_missing(freehold, words):
    ran = freehold(*words.split())
    assert ran.code == 2 and "Missing option" in ran.err, ran
