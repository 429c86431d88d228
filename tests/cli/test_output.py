"""No command has another way to the terminal than the one that makes strangers' words visible."""

import ast
import re
from pathlib import Path

import pytest
from tests.cli.conftest import on_a_terminal

import freehold.cli
from freehold.cli.output import cells, echo

pytestmark = pytest.mark.process

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


def test_echo_lets_only_lines_and_styles_through(capsys):
    echo(HOSTILE)
    echo(HOSTILE, err=True)
    out, err = capsys.readouterr()
    assert steers(out) == steers(err) == [] and "\\x1b]52" in out


WALK = """
tasks traffic.jsonl | tasks | traces list | import traffic.jsonl | store check | dataset build
dataset show | dataset check | forget --conversation c7 --dry-run | scan .
retirements | retirements gpt-4o --fail-within 90 | license meta-llama/Llama-3.3-70B-Instruct
license identify LICENSE
assess | assess --all | assess --machine 2x+H100+SXM --task tools --context 32768
fit Qwen/Qwen3-8B --machine RTX+4090 | fit deepseek-ai/DeepSeek-V3 --machine 8x+H100+SXM --engine vllm
fit Qwen/Qwen3-8C | fit Qwen/Qwen3-8B --machine L4 --quants | cost Qwen/Qwen3-8B --machine H100+SXM
cost Qwen/Qwen3-8B --machine nonsense | catalog list | catalog list Qwen/Qwen3-8B
models list | engines list | evaluate --endpoint http://127.0.0.1:1
compare --pairs pairs.jsonl --margin 0.02 | compare --pairs traffic.jsonl --margin 0.02 | report
power --margin 0.02 --n 300 | routes list | keys add app | keys list | rollout status | audit
doctor | settings | migrate --dry-run | train --method nonsense | down
init traffic.jsonl --dir other | init traffic.jsonl --dir tasks --all | nonsense | compare --pairs
""".replace("\n", " | ")


def test_no_command_prints_a_line_wider_than_the_terminal(freehold, traffic, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pairs = [f'{{"id": {number}, "a": 1, "b": {int(number % 9 != 0)}}}' for number in range(90)]
    (traffic / "pairs.jsonl").write_text("\n".join(pairs))
    (traffic / "app.py").write_text(
        "import openai\nopenai.OpenAI().responses.create(model='gpt-4o-2024-08-06')\n"
    )
    (traffic / "LICENSE").write_text("Permission is hereby granted, free of charge, to any person. " * 9)
    (traffic / "traffic.jsonl").write_text(
        (traffic / "traffic.jsonl").read_text().replace("message", "words " * 40)
    )
    printed = 0
    for command in filter(None, map(str.strip, WALK.split("|"))):
        ran = freehold(*(word.replace("+", " ") for word in command.split()))
        assert "Traceback" not in ran.err, command
        for line in (ran.out + ran.err).splitlines():
            # One word alone (a path, an address, a hash) is not broken, or it could not be copied.
            assert cells(line) <= 80 or len(line.split()) == 1, f"{command}: {line}"
            printed += 1
    assert printed > 500


def test_no_color_leaves_no_style_on_a_terminal(traffic):
    styles = re.compile("\x1b\\[[0-9;]*m")
    assert styles.search(on_a_terminal("tasks", "traffic.jsonl", folder=traffic))
    assert styles.findall(on_a_terminal("tasks", "traffic.jsonl", folder=traffic, NO_COLOR="1")) == []
