"""Which licence is this text? By hashes of its sentences; the texts themselves are not shipped.

A text is the original only if every sentence is there, in order, and nothing else is (copyright lines, case,
punctuation, markdown and line breaks aside). Anything less is reported as changed, with the sentences that
are not the original's, so that a tail after a well-known beginning is seen.

Covered: near-twins that differ by a version string, tails, dropped or altered sentences.
Not covered: translations, scans, texts shorter than a few sentences.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from freehold.types.record import Record

_COPYRIGHT = re.compile(
    r"^\W*(copyright\b\W*(\(c\)|©|\d{4}|\[yyyy\]).*|all rights reserved\W*)$", re.IGNORECASE
)
_TERMS = re.compile(
    r"\b(use|used|uses|permit\w*|prohibit\w*|forbid\w*|licen[cs]\w*|may|must|shall|not|only|except|commercial\w*"
    r"|subject|grant\w*|provided)\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.;:。；：]+(?:\s|$)|\n\s*\n|[。；]")
_WORD = re.compile(r"\w+")
CHANGED_FROM = 0.4
"""Share of known sentences from which a text counts as a changed copy rather than as something else."""


class Fingerprint(Record, frozen=True, kw_only=True):
    """A text as hashes: `whole` over all its words, `sentences` in order (12 hex digits each).

    `role` is ``license`` or ``policy`` (a use policy that a licence makes part of itself).
    """

    license_id: str
    title: str
    role: Literal["license", "policy"]
    source: str
    whole: str
    sentences: tuple[str, ...]


class LicenseMatch(NamedTuple):
    """How close a known text is: `known` of the given text's sentences are in it, `kept` of its own are here."""

    license_id: str
    title: str
    known: float
    kept: float

    @property
    def closeness(self) -> float:
        return 2 * self.known * self.kept / (self.known + self.kept) if self.known + self.kept else 0.0


class Identified(Record, frozen=True, kw_only=True):
    """What a text is.

    `license_id` is set only for ``same``. `nearest` is the closest known text, `twins` the next ones with
    their closeness, `added` the sentences (as written) that the nearest does not have, `missing` how many of
    its sentences are not here, `gaps` where they are missing: the originals are kept as hashes, so a gap is told by
    its place and by the sentences around it.
    """

    answer: Literal["same", "changed", "unknown"]
    license_id: str | None
    nearest: str | None
    title: str | None
    closeness: float
    twins: tuple[tuple[str, float], ...] = ()
    added: tuple[str, ...] = ()
    missing: int = 0
    gaps: tuple[str, ...] = ()
    note: str = ""


def fingerprint(text: str, *, license_id: str, title: str, role: str, source: str) -> Fingerprint:
    """The fingerprint of a text that is known to be a licence."""
    return Fingerprint(
        license_id=license_id,
        title=title,
        role="policy" if role == "policy" else "license",
        source=source,
        whole=_hash(_words(_body(text))),
        sentences=tuple(_hash(words) for words, _ in _sentences(text)),
    )


def identify(text: str, known: Sequence[Fingerprint]) -> Identified:
    """Say which of the known texts this is, or which it was made from."""
    pairs = _sentences(text)
    whole = _hash(_words(_body(text)))
    hashes = [_hash(words) for words, _ in pairs]
    ranked = sorted(
        ((_compare(hashes, print_), print_) for print_ in known),
        key=lambda item: (-item[0].closeness, item[0].title),
    )
    if not ranked or not pairs:
        return Identified(answer="unknown", license_id=None, nearest=None, title=None, closeness=0.0)
    best = next((item for item in ranked if item[1].whole == whole), ranked[0])
    candidate, print_ = best
    others = {
        other.title: round(other.closeness, 3)
        for other, _ in reversed(ranked)
        if other.title != candidate.title and other.closeness >= CHANGED_FROM
    }
    twins = tuple(sorted(others.items(), key=lambda item: -item[1]))[:4]
    if print_.whole == whole:
        return Identified(
            answer="same",
            license_id=print_.license_id,
            nearest=print_.license_id,
            title=print_.title,
            closeness=1.0,
            twins=twins,
            note="a use policy, not a licence" if print_.role == "policy" else "",
        )
    theirs = set(print_.sentences)
    mine = set(hashes)
    if max(candidate.closeness, candidate.known, candidate.kept) < CHANGED_FROM:
        return Identified(
            answer="unknown",
            license_id=None,
            nearest=None,
            title=None,
            closeness=round(candidate.closeness, 3),
            note="unlike any text the catalog knows; read it, and do not rely on its name",
        )
    added = tuple(written for (_, written), digest in zip(pairs, hashes, strict=True) if digest not in theirs)
    missing = sum(digest not in mine for digest in print_.sentences)
    return Identified(
        answer="changed",
        license_id=None,
        nearest=print_.license_id,
        title=print_.title,
        closeness=round(candidate.closeness, 3),
        twins=twins,
        added=added,
        missing=missing,
        gaps=_gaps(print_, dict(zip(hashes, (written for _, written in pairs), strict=True))),
        note="made from this text, but not this text: what was added or left out may decide",
    )


def _gaps(original: Fingerprint, kept: dict[str, str]) -> tuple[str, ...]:
    """Runs of missing sentences: which of the original's they are, and between which sentences of this text."""
    found = []
    total = len(original.sentences)
    at = 0
    while at < total:
        if original.sentences[at] in kept:
            at += 1
            continue
        start = at
        while at < total and original.sentences[at] not in kept:
            at += 1
        which = f"sentence {start + 1}" if at - start == 1 else f"sentences {start + 1} to {at}"
        around = []
        if start:
            around.append(f"after “{_short(kept[original.sentences[start - 1]])}”")
        if at < total:
            around.append(f"before “{_short(kept[original.sentences[at]])}”")
        found.append(f"missing: {which} of {total}, {' and '.join(around) or 'all of them'}")
    return tuple(found)


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:60]} … {text[-25:]}"


def _compare(hashes: list[str], known: Fingerprint) -> LicenseMatch:
    theirs, mine = set(known.sentences), set(hashes)
    found = sum(digest in theirs for digest in hashes) / len(hashes) if hashes else 0.0
    kept = (
        sum(digest in mine for digest in known.sentences) / len(known.sentences) if known.sentences else 0.0
    )
    return LicenseMatch(known.license_id, known.title, found, kept)


def _body(text: str) -> str:
    """The text without lines that only say whose copyright it is; one that says more stays."""
    return "\n".join(line for line in text.splitlines() if not _only_copyright(line.strip()))


def _only_copyright(line: str) -> bool:
    return bool(_COPYRIGHT.match(line)) and not _TERMS.search(line)


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _sentences(text: str) -> list[tuple[str, str]]:
    """Sentences as their words and as written; headings and numbering without words are dropped."""
    found = []
    for part in _ENDS.split(_body(text)):
        words = _words(part)
        if len(words) > 2:
            found.append((words, " ".join(part.split())))
    return found


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:12]
