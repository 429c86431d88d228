"""Every block of code and every span of code in the documentation, with its language."""

import functools
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("*.md", "docs/**/*.md", "examples/**/*.md", "src/freehold/agents/skill/**/*.md")
PAGES = sorted(page for place in PLACES for page in ROOT.glob(place) if page.name != "CHANGELOG.md")
"""All but the changelog, which says what was."""
_READER = MarkdownIt("commonmark").enable("table")
_PROGRAMS = (
    "freehold ", "pip ", "uv ", "scripts/", "python ", "podman ", "docker ", "kubectl ", "helm ", "sudo ",
    "curl ", "psql ", "sqlite3 ", "claude ", "lm_eval ", "export ", "cd ", ". ", "$ ", "HELICONE_API_KEY=",
)  # fmt: skip
UNCHECKED = tomllib.loads(Path(__file__).with_name("unchecked.toml").read_text())
"""What is neither run nor read, each with its reason: blocks by page and beginning, programs by name."""


class Block(NamedTuple):
    """`page` is relative to the repository, `line` the first line of `text`, `language` empty where none is known."""

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self):
        return f"{self.page}:{self.line}"


class Span(NamedTuple):
    """A piece of code within a sentence."""

    page: str
    line: int
    text: str


def guessed(text):
    """The language of a block that says none, by its first line."""
    first = next(line for line in text.splitlines() if line.strip())
    if re.match(r"\[\[?[a-z_.]+\]\]?$|[a-z_]+ = ", first):
        return "python" if first.startswith("client") else "toml"
    if first.startswith("{"):
        return "json"
    if re.match(r"(import|from) \w+", first):
        return "python"
    if re.match(r"- (uses|repo):|\w+:($| pull_request$)", first):
        return "yaml"
    return "sh" if first.startswith(_PROGRAMS) else ""


@functools.cache
def read(page):
    """The blocks and the spans of a page."""
    text, blocks, spans = page.read_text(), [], []
    where = str(page.relative_to(ROOT))
    line = 1
    for token in _READER.parse(text):
        line = token.map[0] + 1 if token.map else line
        if token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.strip() else guessed(token.content)
            first = line + (1 if token.type == "fence" else 0)
            blocks.append(Block(where, first, language, token.content))
        for inner in token.children or ():
            if inner.type == "code_inline":
                spans.append(Span(where, line, inner.content))
    return blocks, spans


@functools.cache
def anchors(page):
    """What a link may name after `#`: the titles of a page, as forges and the website spell them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks(*languages):
    """Those of some languages, without those that `unchecked.toml` lists."""
    return [
        one for page in PAGES for one in read(page)[0] if one.language in languages and reason_of(one) is None
    ]


def spans():
    return [one for page in PAGES for one in read(page)[1]]


def listed(block, entry):
    return re.fullmatch(entry["page"], block.page) and block.text.strip().startswith(entry["begins"])


def reason_of(block):
    """Why a block is not checked; None where it is."""
    return next((entry["why"] for entry in UNCHECKED["blocks"] if listed(block, entry)), None)
