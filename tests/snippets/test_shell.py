"""Every command that the documentation shows is one that today's programs take."""

import json
import re
import tomllib

import click
import pytest
from tests.deploy.containerfile import CONTAINERFILE, stages
from tests.snippets import blocks, shell

PYPROJECT = tomllib.loads((blocks.ROOT / "pyproject.toml").read_text())
EXTRAS = set(PYPROJECT["project"]["optional-dependencies"])
OPENAPI = json.loads((blocks.ROOT / "docs" / "reference" / "openapi.json").read_text())
SHELL = blocks.blocks("sh", "bash", "console")
OF_FREEHOLD = [
    (block.name, words)
    for block in SHELL
    for line in shell.lines(block.text)
    for one in shell.commands(line)
    if (words := shell.of_freehold(one))
]
OTHERS = [
    (block.name, one)
    for block in SHELL
    for line in shell.lines(block.text)
    for one in shell.commands(line)
    if shell.of_freehold(one) is None
]
IN_SENTENCES = sorted(
    {
        (one.page, one.text)
        for one in blocks.spans()
        if re.match(r"freehold [a-z]", one.text) and one.page != "docs/left-out.md"
    }
)


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    """Files and folders of an example need not be there to read its command line."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, parameter, context: value)


def checked(words, *, whole, where=""):
    try:
        shell.context_of(words, whole=whole and not shell.PLACEHOLDERS & set(words))
    except click.exceptions.Exit:
        pass  # --version, --help
    except click.ClickException as error:
        raise AssertionError(f"{where}freehold {' '.join(words)}: {error.format_message()}") from None


def test_the_reader_takes_lines_apart():
    assert shell.lines("pip a \\\n  b\nc\n\nprinted: 3") == ["pip a b", "c"]
    assert shell.lines("$ a\nprinted\n$ b") == ["a", "b"]
    assert shell.commands("X=1 freehold a 'b c' | sudo tee f > g  # d") == [
        ["freehold", "a", "b c"],
        ["tee", "f"],
    ]
    assert shell.of_freehold(["podman", "run", "--rm", "freehold:engine", "pull", "m"]) == ["pull", "m"]
    assert shell.of_freehold(["claude", "mcp", "add", "freehold", "--", "freehold", "mcp"]) == ["mcp"]
    assert shell.of_freehold(["pip", "install", "freehold"]) is None


@pytest.mark.parametrize(
    "words",
    ["evaluate --no-such", "nothing", "keys limt x", "fit", "power --margin many", "keys add"],
)
def test_a_command_that_is_wrong_is_found(words):
    with pytest.raises(AssertionError):
        checked(words.split(), whole=True)


def test_there_are_commands_to_look_at():
    assert len(OF_FREEHOLD) > 200 and len(IN_SENTENCES) > 200


def test_a_line_of_freehold_is_one_that_it_takes():
    for name, words in OF_FREEHOLD:
        checked(words, whole=True, where=f"{name}: ")


def test_a_command_within_a_sentence_is_there_with_its_options():
    for page, text in IN_SENTENCES:
        for one in shell.commands(text):
            if (words := shell.of_freehold(one)) is not None:
                checked(words, whole=False, where=f"{page}: ")


def test_examples_in_the_help_are_lines_that_freehold_takes():
    """The pages of the reference hold them, too."""
    page = (blocks.ROOT / "docs" / "reference" / "commands.md").read_text()
    joined = re.sub(r"\s*\\\n\s*", " ", page)
    found = re.findall(r"^ +(freehold [a-z].*)", joined, re.MULTILINE)
    assert len(found) > 100
    for line in found:
        for one in shell.commands(line):
            if words := shell.of_freehold(one):
                checked(words, whole=True)


def test_other_programs_get_what_is_there():
    for name, words in OTHERS:
        looked_at(f"{name}: {' '.join(words)}", words)


def looked_at(line, words):
    """Extras, scripts, modules, stages, services and paths of the API, or a reason why it is not looked at."""
    program = words[0]
    if program == "pip":
        for extras in re.findall(r"freehold\[([^]]+)\]", " ".join(words)):
            assert set(extras.split(",")) <= EXTRAS, line
        for at, word in enumerate(words):
            if word == "-r":
                assert (blocks.ROOT / words[at + 1]).exists(), line
    elif program.startswith("scripts/"):
        assert (blocks.ROOT / program).exists(), line
        flags = [word for word in words if word.startswith("--")]
        text = (blocks.ROOT / program).read_text()
        assert [flag for flag in flags if flag not in text] == [], line
    elif program == "python" and words[1] == "-m":
        own = words[2].startswith(("tests.", "benchmarks."))
        folder = blocks.ROOT / words[2].replace(".", "/")
        assert not own or folder.is_dir() or folder.with_suffix(".py").exists(), line
    elif program in ("podman", "docker"):
        _, found = stages(CONTAINERFILE.read_text())
        for at, word in enumerate(words):
            if word == "--target":
                assert words[at + 1] in {stage.name for stage in found}, line
    elif program == "curl":
        (url,) = [word for word in words if word.startswith("http")]
        path = "/" + url.split("/", 3)[3]
        assert path in OPENAPI["paths"], line
        for body in (word for word in words if word.startswith("{")):
            json.loads(body)
    elif program == "helm":
        for word in words:
            assert not word.startswith("deploy/") or (blocks.ROOT / word / "Chart.yaml").exists()
    else:
        assert blocks.UNCHECKED["programs"].get(program), f"{line}: neither looked at nor listed"


def test_every_reason_is_needed():
    every = [one for page in blocks.PAGES for one in blocks.read(page)[0]]
    for entry in blocks.UNCHECKED["blocks"]:
        assert any(blocks.listed(one, entry) for one in every), entry
    assert set(blocks.UNCHECKED["programs"]) <= {words[0] for _, words in OTHERS}


def test_every_block_has_a_language_that_is_looked_at():
    known = {"sh", "toml", "yaml", "json", "python", "dockerfile", "nginx", "caddy", "ini"}
    wrong = [
        f"{one.name}: {one.language or 'no language is told by its first line'}"
        for page in blocks.PAGES
        for one in blocks.read(page)[0]
        if one.language not in known and blocks.reason_of(one) is None
    ]
    assert wrong == []
