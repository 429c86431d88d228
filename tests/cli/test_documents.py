"""Every command with `--json` has a schema, is run with it somewhere, and says its errors in it, too."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import click
import msgspec
import pytest
from tests.documents import ROOT, check, schemas, validator

from freehold.cli.documents import ERROR_SCHEMA, JsonOption, document

PUBLISHED = ROOT / "docs" / "reference" / "schemas"
NAMES = list(schemas().inventory())


WITHOUT_JSON = {
    "console": "a page, open until it is stopped",
    "license init": "questions, and a file",
    "license bom": "CycloneDX, which is JSON that others have laid down",
    "mcp": "a protocol on stdin and stdout",
}
COMMANDS = {
    " ".join(words): command
    for words, command in schemas().commands()
    if not isinstance(command, click.Group) or command.invoke_without_command
}
"""What can be run, groups that do something of their own included."""


def with_json(command):
    return any(isinstance(option, JsonOption) for option in command.params)


def test_every_command_prints_json_or_has_a_reason():
    assert {words for words, command in COMMANDS.items() if not with_json(command)} == set(WITHOUT_JSON)


@pytest.mark.parametrize("words", [words for words, command in COMMANDS.items() if with_json(command)])
def test_every_command_says_in_json_that_it_was_not_understood(freehold, words):
    ran = freehold(*words.split(), "--no-such-option", "--json")
    assert ran.code == 2, ran
    told = check(ran.out)
    assert told["schema"] == ERROR_SCHEMA and told["error"]["code"] == "usage"
    assert "--no-such-option" in told["error"]["message"]


def some_value(option):
    """A value that the command line takes for an option or argument."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return str(next(iter(kind.choices)))
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return str(max(1, getattr(kind, "min", None) or 0))
    return "file.txt" if isinstance(kind, click.Path | click.File) else "x"


def filled(command):
    """The command's required options and arguments."""
    given = []
    for option in command.params:
        if option.required and isinstance(option, click.Argument):
            given.append(some_value(option))
        elif option.required:
            given += [option.opts[0], some_value(option)]
    return given


MORE = {
    "forget": ["--user", "ann"],
    "license comply": ["org/model", "--out", "out"],
    "license rule": ["org/model"],
    "evaluate": ["--endpoint", "http://127.0.0.1:1", "--model", "m"],
    "power": ["--margin", "0.02"],
    "keys revoke": ["app"],
}
"""What commands need that their options do not say by themselves."""
WITH_CONFIG = [
    words
    for words, command in COMMANDS.items()
    if with_json(command)
    and any("--config" in option.opts for option in command.params)
    and words not in ("doctor", "status")  # which tell of a broken file as of anything else that is wrong
]


@pytest.mark.parametrize("words", WITH_CONFIG)
def test_every_command_says_in_json_what_ended_it(freehold, tmp_path, words):
    """A real error, not one of the command line: the project's file cannot be read."""
    (tmp_path / "broken.toml").write_text("[app\n")
    (tmp_path / "file.txt").write_text("")
    given = MORE.get(words, filled(COMMANDS[words]))
    ran = freehold(*words.split(), *given, "--config", "broken.toml", "--json")
    told = check(ran.out)
    assert told["schema"] == ERROR_SCHEMA, "what is printed is the error alone"
    assert told["error"]["exit_code"] == ran.code != 0
    assert told["error"]["code"] == "config" and "broken.toml" in told["error"]["message"], told


@pytest.mark.parametrize("name", NAMES)
def test_every_document_has_a_published_schema(name):
    published = json.loads((PUBLISHED / schemas().file_name(name)).read_text())
    assert published["$id"] == name
    assert published == schemas().schema(name), "run scripts/docs"


def sample(kind, depth=0):
    """A value of a type as `msgspec.inspect` describes it, with something in every field."""
    found = msgspec.inspect
    match kind:
        case found.StructType():
            return kind.cls(**{one.name: sample(one.type, depth + 1) for one in kind.fields})
        case found.UnionType():
            ways = [one for one in kind.types if not isinstance(one, found.NoneType)]
            return None if depth > 12 else sample(ways[0], depth)
        case found.ListType() | found.VarTupleType() | found.SetType() | found.FrozenSetType():
            return () if depth > 12 else (sample(kind.item_type, depth + 1),)
        case found.TupleType():
            return tuple(sample(one, depth + 1) for one in kind.item_types)
        case found.DictType():
            return {} if depth > 12 else {sample(kind.key_type): sample(kind.value_type, depth + 1)}
        case found.LiteralType():
            return kind.values[0]
        case found.EnumType():
            return next(iter(kind.cls))
        case found.IntType():
            return max(1, kind.ge or 1)
    return SAMPLES[type(kind)]


SAMPLES = {
    msgspec.inspect.AnyType: {"any": ["thing"]},
    msgspec.inspect.StrType: "text",
    msgspec.inspect.FloatType: 0.5,
    msgspec.inspect.BoolType: True,
    msgspec.inspect.NoneType: None,
    msgspec.inspect.DecimalType: Decimal("0.10"),
    msgspec.inspect.DateTimeType: datetime(2026, 11, 26, tzinfo=UTC),
    msgspec.inspect.DateType: date(2026, 11, 26),
    msgspec.inspect.BytesType: b"x",
    msgspec.inspect.RawType: msgspec.Raw(b"1"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_record_becomes_is_what_its_schema_says(name):
    printed = schemas().inventory()[name].printed
    made = sample(msgspec.inspect.type_info(schemas().record_of(printed)))
    told = check(document([made] if printed.is_list else made, name))
    first = told["items"][0] if printed.is_list else told
    assert len(first) > 1
    field = next(one for one in first if one != "schema")
    del first[field]
    faults = list(validator(name).iter_errors(told))
    required = schemas().schema(name)
    required = required["required"] if not printed.is_list else [field]
    assert bool(faults) == (field in required), "a field that is missing is seen"


def test_an_error_is_a_document_too(freehold):
    ran = freehold("fit", "org/gone", "--json")
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    told = ran.json
    assert told["schema"] == ERROR_SCHEMA
    assert told["error"]["code"] == "unknown_model"
    assert told["error"]["exit_code"] == 2
    assert f"error: {told['error']['message']}" in ran.err


@pytest.mark.process
def test_a_stopped_command_says_so_in_json(tmp_path):
    program = (
        "import sys\nfrom freehold.cli import main\n"
        "def work(**_):\n    raise KeyboardInterrupt('stopped; the same command goes on')\n"
        "main.cli.main = work\nsys.argv = ['freehold', 'migrate', '--json']\nmain.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    told = check(ended.stdout)["error"]
    assert (told["code"], told["exit_code"], told["retryable"]) == ("stopped", 130, True)
    assert told["message"] == ended.stderr.strip() == "stopped; the same command goes on"


def test_the_page_links_every_schema():
    page = (ROOT / "docs" / "reference" / "json.md").read_text()
    assert all(f"(schemas/{schemas().file_name(name)})" in page for name in NAMES)
    assert {path.name for path in Path(PUBLISHED).iterdir()} == {schemas().file_name(name) for name in NAMES}
