"""No command has another way to the terminal than the one that makes strangers' words visible."""

import ast
import io
import json
from pathlib import Path

import pytest

import freehold.cli
from freehold.cli.output import console, echo, json_escaped

HOSTILE = "\x1b]52;c;cm0=\x07 \x1b]8;;http://evil\x1b\\\\x \x1b[2J\x9b1A \u202eabc\u2066 \u200b\u2028 \x7f"
FORBIDDEN = {
    ("click", "echo"),
    ("click", "secho"),
    ("click", "echo_via_pager"),
    ("sys", "stdout"),
    ("sys", "stderr"),
}
FILES = sorted(Path(freehold.cli.__file__).parent.rglob("*.py"))


def steers(text):
    return [one for one in text if one != "\n" and not one.isprintable()]


def raw_output(source):
    """The places of a file that write to a terminal past `echo`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in FORBIDDEN:
                yield f"{node.lineno}: {node.value.id}.{node.attr}"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("print", "Console")
        ):
            yield f"{node.lineno}: {node.func.id}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name != "output.py"], ids=lambda path: path.name
)
def test_commands_write_through_one_function(path):
    asks_only = "sys.stderr.isatty()", "sys.stdout.isatty()", "sys.stdin.isatty()"
    source = path.read_text()
    for question in asks_only:
        source = source.replace(question, "True")
    assert list(raw_output(source)) == []


def test_the_search_finds_what_it_should():
    found = list(raw_output("import click\nclick.echo(1)\nprint(2)\nConsole()\nclick.secho(3)\necho(4)"))
    assert len(found) == 4


def test_echo_lets_only_lines_and_styles_through(capsys):
    echo(HOSTILE)
    echo(HOSTILE, err=True)
    out, err = capsys.readouterr()
    assert steers(out) == steers(err) == [] and "\\x1b]52" in out


def test_a_table_of_rich_shows_them_too():
    from rich.table import Table
    from rich.text import Text

    file = io.StringIO()
    table = Table("name", title=Text(HOSTILE))
    table.add_row(Text(HOSTILE))
    shown = console(file=file, width=200, force_terminal=True, color_system=None)
    shown.print(table)
    shown.print("[link=http://evil]word[/link]")
    assert steers(file.getvalue().replace("\x1b[3m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")) == []


def test_json_means_the_same():
    value = {"text": HOSTILE, "tag": "\U000e0041", "plain": "Straße 📦"}
    text = json_escaped(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value and steers(text) == [] and "Straße 📦" in text
