"""How much of what is personal each redaction mode finds, and how often it takes something else for it.

    python -m benchmarks.redaction            print the figures
    python -m benchmarks.redaction --write    and write docs/reference/redaction.md

The sentences are `tests/privacy/redaction.txt`. A value counts as found when each of its letters and digits is
replaced, by whatever kind; a find is right when it touches a marked value. ``pii`` is measured without a spaCy model.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from freehold.privacy import patterns
from freehold.privacy.finds import Finder
from freehold.privacy.library import PresidioLibrary

ROOT = Path(__file__).resolve().parents[1]
SENTENCES = ROOT / "tests" / "privacy" / "redaction.txt"
PAGE = ROOT / "docs" / "reference" / "redaction.md"
KINDS = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "payment cards",
    "iban": "IBANs",
    "ip": "IP addresses (v4, v6)",
    "secret": "API keys, passwords in URLs",
    "national_id": "national, tax and health numbers",
    "document": "passports, licences, identity cards",
    "account": "bank accounts, MAC addresses, wallets",
    "birth": "dates of birth",
    "person": "persons' names",
    "address": "postal addresses",
}
_MARK = re.compile(r"\[([^\]]+)\]")


class Sentence(NamedTuple):
    """`start` to `end` is what must be found; both 0 where there is nothing."""

    language: str
    kind: str
    text: str
    start: int
    end: int


class Figures(NamedTuple):
    """Of one mode. `recall` by (kind, language) is found and all; `touching` and `finds` count finds."""

    recall: dict[tuple[str, str], tuple[int, int]]
    touching: int
    finds: int
    quiet: dict[str, tuple[int, int]]
    """By language: sentences with nothing in them in which nothing was found, and all of these."""
    wrong: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def precision(self) -> float:
        return self.touching / self.finds

    def recall_of(self, kind: str) -> float:
        """Over all languages."""
        pairs = [pair for (one, _), pair in self.recall.items() if one == kind]
        return sum(found for found, _ in pairs) / sum(count for _, count in pairs)


def sentences() -> list[Sentence]:
    """The test set."""
    language, read = "", []
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            language = line[3:]
        elif line and not line.startswith("#"):
            kind, _, text = line.partition("|")
            mark = _MARK.search(text) if kind != "none" else None
            plain = text if mark is None else text[: mark.start()] + mark[1] + text[mark.end() :]
            start, end = (0, 0) if mark is None else (mark.start(), mark.start() + len(mark[1]))
            read.append(Sentence(language, kind, plain, start, end))
    return read


def measure(find: Finder, given: list[Sentence]) -> Figures:
    """The figures of one way to find."""
    recall: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    quiet: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    touching, finds, wrong, missed = 0, 0, [], []
    for one in given:
        found = find(one.text)
        finds += len(found)
        right = [f for f in found if f.start < one.end and f.end > one.start]
        touching += len(right)
        wrong += [
            f"{one.language} {f.kind} {one.text[f.start : f.end]!r} in {one.text!r}"
            for f in found
            if f not in right
        ]
        if one.kind == "none":
            quiet[one.language][0] += not found
            quiet[one.language][1] += 1
            continue
        covered = {at for f in found for at in range(f.start, f.end)}
        whole = all(at in covered or not one.text[at].isalnum() for at in range(one.start, one.end))
        recall[one.kind, one.language][0] += whole
        recall[one.kind, one.language][1] += 1
        if not whole:
            missed.append(f"{one.language} {one.kind} {one.text!r}")
    return Figures(
        recall={key: (found, count) for key, (found, count) in recall.items()},
        touching=touching,
        finds=finds,
        quiet={key: (silent, count) for key, (silent, count) in quiet.items()},
        wrong=tuple(wrong),
        missed=tuple(missed),
    )


def modes() -> dict[str, Figures]:
    """The figures of each mode of `[capture]` that replaces."""
    given = sentences()
    return {
        "patterns": measure(patterns.find, given),
        "pii": measure(PresidioLibrary(use_model=False).find, given),
    }


def page(figures: dict[str, Figures]) -> str:
    """The reference page."""
    given = sentences()
    languages = list(dict.fromkeys(one.language for one in given))
    silent = sum(one.kind == "none" for one in given)
    lines = [
        "# Redaction: what is found\n",
        "<!-- Made by python -m benchmarks.redaction --write; edit that instead, then run it. -->\n",
        f"How much each mode of `[capture]` finds, on {len(given) - silent} sentences with one value each and "
        f"{silent} with none, in {len(languages)} languages ({', '.join(languages)}). The set was written for "
        "freehold, with invented values, and the patterns were mended on it: your texts are others, so expect less, "
        "and try your own.\n",
        "`pii` is measured without a spaCy model: **names and postal addresses are then not found at all.** With a "
        "model names are found in the model's language only. Choose `off` if they may not be stored.\n",
        "Found, of all (a value counts only when every letter and digit of it is replaced):\n",
        "| kind | mode | " + " | ".join(languages) + " | all |",
        "|---|---|" + "---|" * (len(languages) + 1),
    ]
    for kind, words in KINDS.items():
        for mode, one in figures.items():
            cells = ["{}/{}".format(*one.recall[kind, language]) for language in languages]
            lines.append(f"| {words} | {mode} | {' | '.join(cells)} | {one.recall_of(kind):.0%} |")
    lines += ["", "Taken for something it is not:\n"]
    lines += ["| mode | finds that touch a marked value | precision | " + " | ".join(languages) + " |"]
    lines += ["|---|---|---|" + "---|" * len(languages)]
    for mode, one in figures.items():
        cells = ["{}/{}".format(*one.quiet[language]) for language in languages]
        lines.append(
            f"| {mode} | {one.touching} of {one.finds} | {one.precision:.3f} | {' | '.join(cells)} |"
        )
    lines += [
        "",
        "The last columns count the sentences with nothing in them (order and tracking numbers, versions, prices, "
        "dates, ISBNs, sums) in which nothing was found.\n",
        "Not found: names and addresses without a model; phone numbers without a leading zero or a word nearby that "
        "says so; numbers of accounts, passports and licences, and dates of birth, without such a word before them; "
        "secrets of no known form (`password: hunter2`).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    figures = modes()
    if "--write" in sys.argv:
        PAGE.write_text(page(figures), encoding="utf-8")
    print(page(figures))
    if "--misses" in sys.argv:
        for mode, one in figures.items():
            print(*(f"{mode} wrong: {line}" for line in one.wrong), sep="\n")
            print(*(f"{mode} missed: {line}" for line in one.missed), sep="\n")


if __name__ == "__main__":
    main()
