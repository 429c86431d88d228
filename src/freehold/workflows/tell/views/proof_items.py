"""The items of an evaluation as a page at a time, and what differs between the two answers to one question.

Comparing is pure, and bounded whatever the answers hold. An index of the results file is made once: it holds where each
line begins and what items are filtered by; no answer stays in memory. It belongs to the file as it was when it was read
(path, size, time of change), so a file that is written again is indexed again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import msgspec

from freehold import files
from freehold.errors import ConfigError, InputError
from freehold.evals.comparing import slice_values
from freehold.evals.text import NotJson, parse_json
from freehold.types.dataset import Sample
from freehold.types.evaluated import ItemResult
from freehold.types.record import Record

SHOWN_CHARACTERS = 6000
"""Of a text; what is longer is cut, and its whole length is said."""
COMPARED_WORDS = 300
"""Comparing takes the square of this in the worst case; longer texts are compared by lines."""
COMPARED_FIELDS = 80
_FIELD_CHARACTERS = 300
_WORD = re.compile(r"\s*\S+|\s+$")

Side = Literal["both", "incumbent", "candidate"]


class ClippedText(Record, frozen=True, kw_only=True):
    """A text as it is shown. `characters` is the length of all of it."""

    text: str
    characters: int


class AnswerPiece(Record, frozen=True, kw_only=True):
    """A part of the answers: in both, or in one."""

    side: Side
    text: str


class FieldChange(Record, frozen=True, kw_only=True):
    """A field of two JSON answers, by its path. None: the answer does not have it. `right` is the reference's."""

    path: str
    incumbent: str | None
    candidate: str | None
    right: str | None
    changed: bool


class AnswerDifference(Record, frozen=True, kw_only=True):
    """What differs: by field where both answers are JSON objects, else by words, or by lines where they are long."""

    pieces: tuple[AnswerPiece, ...] = ()
    fields: tuple[FieldChange, ...] = ()


@overload
def clipped(text: str, most: int = SHOWN_CHARACTERS) -> ClippedText: ...
@overload
def clipped(text: str | None, most: int = SHOWN_CHARACTERS) -> ClippedText | None: ...
def clipped(text: str | None, most: int = SHOWN_CHARACTERS) -> ClippedText | None:
    """The beginning of a text; None for none."""
    return None if text is None else ClippedText(text=text[:most], characters=len(text))


def difference(
    incumbent: str | None, candidate: str | None, reference: str | None = None
) -> AnswerDifference:
    """What differs between two answers, of which one may be missing."""
    one, other = incumbent or "", candidate or ""
    left, right = _object(one), _object(other)
    if left is not None and right is not None:
        return AnswerDifference(fields=_fields(left, right, _object(reference or "")))
    return AnswerDifference(pieces=_pieces(one[:SHOWN_CHARACTERS], other[:SHOWN_CHARACTERS]))


def _object(text: str) -> dict[str, str] | None:
    if len(text) > SHOWN_CHARACTERS or "{" not in text[:40]:
        return None
    try:
        value = parse_json(text)
    except NotJson:
        return None
    return _flat(value) if isinstance(value, dict) else None


def _flat(value: dict[str, Any]) -> dict[str, str]:
    """Leaves by path. The stack stands in for recursion: an answer may be nested as deeply as its writer liked."""
    found: dict[str, str] = {}
    stack: list[tuple[str, Any]] = [("", value)]
    while stack and len(found) < COMPARED_FIELDS:
        path, one = stack.pop()
        if isinstance(one, dict) and one:
            stack += [(f"{path}.{key}" if path else str(key), inner) for key, inner in reversed(one.items())]
        elif isinstance(one, list) and one:
            stack += [(f"{path}[{place}]", inner) for place, inner in reversed(list(enumerate(one)))]
        else:
            found[path[:_FIELD_CHARACTERS]] = _said(one)
    return found


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value[:_FIELD_CHARACTERS]
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)[:_FIELD_CHARACTERS]


def _fields(
    left: dict[str, str], right: dict[str, str], reference: dict[str, str] | None
) -> tuple[FieldChange, ...]:
    known = reference or {}
    return tuple(
        FieldChange(
            path=path,
            incumbent=left.get(path),
            candidate=right.get(path),
            right=known.get(path),
            changed=left.get(path) != right.get(path),
        )
        for path in dict.fromkeys((*left, *right, *known))
    )


def _pieces(one: str, other: str) -> tuple[AnswerPiece, ...]:
    if one == other:
        return (AnswerPiece(side="both", text=one),) if one else ()
    left, right = _WORD.findall(one), _WORD.findall(other)
    if max(len(left), len(right)) > COMPARED_WORDS:
        left, right = one.splitlines(keepends=True), other.splitlines(keepends=True)
    before = _shared(left, right)
    after = _shared(left[before:][::-1], right[before:][::-1])
    pieces = [("both", left[:before])]
    middle = left[before : len(left) - after], right[before : len(right) - after]
    pieces += _middle(*middle)
    pieces.append(("both", left[len(left) - after :]))
    return tuple(AnswerPiece(side=side, text="".join(words)) for side, words in pieces if words)  # type: ignore[arg-type]


def _middle(left: list[str], right: list[str]) -> list[tuple[str, list[str]]]:
    if not left or not right or max(len(left), len(right)) > COMPARED_WORDS:
        return [("incumbent", left), ("candidate", right)]
    found: list[tuple[str, list[str]]] = []
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("both", left[a:b]))
        else:
            found += [("incumbent", left[a:b]), ("candidate", right[c:d])]
    return found


def _shared(left: list[str], right: list[str]) -> int:
    """How many parts the beginnings have in common."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


ItemChange = Literal["worse", "better", "same", "unscored"]
ItemFilter = Literal["worse", "better", "different", "unscored", "all"]
PAGE_ITEMS = 10
_CAUSE_CHARACTERS = 40
_KEPT_INDICES = 4


class IndexedItem(NamedTuple):
    """Where an item's line lies in its file, and what it is filtered by. `gap` is candidate minus incumbent."""

    offset: int
    length: int
    change: ItemChange
    gap: float
    differs: bool
    causes: tuple[str, ...]
    slices: tuple[str, ...]


class ItemCounts(NamedTuple):
    """How many items there are of each change, and the causes of those that got worse, most frequent first."""

    changes: dict[str, int]
    different: int
    causes: tuple[tuple[str, int], ...]
    worse_by_slice: dict[str, int]


class ItemPage(NamedTuple):
    """Items in the index's order. `ranks` are their places; `next_rank` continues after the last, None at the end."""

    ranks: tuple[int, ...]
    items: tuple[ItemResult, ...]
    matching: int
    next_rank: int | None


class ItemIndex:
    """The items of one results file, the candidate's largest losses first."""

    def __init__(self, path: Path, items: Sequence[IndexedItem]) -> None:
        self._path = path
        self._items = sorted(items, key=lambda one: (one.gap, one.offset))

    def __len__(self) -> int:
        return len(self._items)

    def counts(self) -> ItemCounts:
        """Counts over all items."""
        worse = [one for one in self._items if one.change == "worse"]
        causes = Counter(cause for one in worse for cause in one.causes)
        return ItemCounts(
            changes=dict(Counter(one.change for one in self._items)),
            different=sum(one.differs for one in self._items),
            causes=tuple(causes.most_common()),
            worse_by_slice=dict(Counter(name for one in worse for name in one.slices)),
        )

    def page(
        self,
        *,
        show: ItemFilter = "worse",
        slice_name: str | None = None,
        cause: str | None = None,
        after: int | None = None,
        most: int = PAGE_ITEMS,
    ) -> ItemPage:
        """The first `most` matching items whose place is behind `after`. Raises `InputError` for a file that changed
        under the index or cannot be read."""
        matching = [
            rank
            for rank, one in enumerate(self._items)
            if _shown(one, show)
            and (slice_name is None or slice_name in one.slices)
            and (cause is None or cause in one.causes)
        ]
        rest = [rank for rank in matching if after is None or rank > after]
        ranks = tuple(rest[:most])
        return ItemPage(
            ranks=ranks,
            items=tuple(self._read(ranks)),
            matching=len(matching),
            next_rank=ranks[-1] if len(rest) > most else None,
        )

    def _read(self, ranks: Sequence[int]) -> Iterator[ItemResult]:
        decoder = msgspec.json.Decoder(ItemResult)
        with files.reading(self._path, hint="freehold evaluate"), self._path.open("rb") as file:
            for rank in ranks:
                one = self._items[rank]
                file.seek(one.offset)
                try:
                    yield decoder.decode(file.read(one.length))
                except (msgspec.DecodeError, msgspec.ValidationError) as error:
                    raise InputError(
                        f"not a result any more: {error}", path=str(self._path), hint="freehold evaluate"
                    ) from None


def item_index(path: Path, slices: tuple[str, ...]) -> ItemIndex:
    """The index of a results file with the slices that its task declares, from memory where the file is the same.

    Raises `InputError` for a file that is gone or holds something else.
    """
    with files.reading(path, hint="freehold evaluate"):
        status = path.stat()
    return _indexed(str(path), status.st_size, status.st_mtime_ns, slices)


@lru_cache(maxsize=_KEPT_INDICES)
def _indexed(path: str, size: int, changed_ns: int, slices: tuple[str, ...]) -> ItemIndex:
    decode = msgspec.json.Decoder(ItemResult).decode
    indexed: list[IndexedItem] = []
    samples: list[Sample] = []
    place = Path(path)
    with files.reading(place, hint="freehold evaluate"), place.open("rb") as file:
        offset = 0
        for number, line in enumerate(file, 1):
            try:
                item = decode(line)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise InputError(f"not a result: {error}", path=path, line=number) from None
            indexed.append(_entry(item, offset, len(line)))
            # All are kept while the file is read, so only with what slices are told from.
            kept = item.sample.messages if "length" in slices else ()
            samples.append(msgspec.structs.replace(item.sample, messages=kept, incumbent=None, tools=None))
            offset += len(line)
    columns = {name: _values(name, samples) for name in slices}
    return ItemIndex(
        place,
        [
            one._replace(
                slices=tuple(
                    f"{name}={value}"
                    for name, column in columns.items()
                    if (value := column[row]) is not None
                )
            )
            for row, one in enumerate(indexed)
        ],
    )


def _entry(item: ItemResult, offset: int, length: int) -> IndexedItem:
    one, other = item.incumbent.score.value, item.candidate.score.value
    gap = None if one is None or other is None else other - one
    change: ItemChange = (
        "unscored" if gap is None else "worse" if gap < 0 else "better" if gap > 0 else "same"
    )
    lost = other is None or (gap or 0.0) < 0
    differs = item.incumbent.output != item.candidate.output
    return IndexedItem(offset, length, change, gap or 0.0, differs, causes_of(item) if lost else (), ())


def causes_of(item: ItemResult) -> tuple[str, ...]:
    """Why the candidate lost, in a few words each, as far as its score tells: it failed, its form is wrong, fields are
    wrong, one label was given for another, or what the scorer gave as its reason."""
    result = item.candidate
    if result.error is not None:
        return (_short(f"failed: {result.error.partition(':')[0]}"),)
    reason = (result.score.reason or "").partition(":")[0].strip()
    if not result.score.format_ok:
        return (_short(f"wrong form: {reason or 'not said'}"),)
    lost = [
        name
        for name, value in result.score.parts.items()
        if value < item.incumbent.score.parts.get(name, 1.0)
    ]
    if lost:
        return tuple(_short(f"field {name}") for name in lost)
    right, said = (item.reference or "").strip(), (result.output or "").strip()
    if 0 < len(right) <= _CAUSE_CHARACTERS and 0 < len(said) <= _CAUSE_CHARACTERS and "\n" not in said:
        return (f"{right} → {said}",)
    return (_short(reason) if reason else "scored lower",)


def _short(text: str) -> str:
    return text if len(text) <= 2 * _CAUSE_CHARACTERS else f"{text[: 2 * _CAUSE_CHARACTERS]}…"


def _shown(one: IndexedItem, show: ItemFilter) -> bool:
    if show == "all":
        return True
    return one.differs if show == "different" else one.change == show


def _values(name: str, samples: Sequence[Sample]) -> Sequence[str | None]:
    try:
        return slice_values(name, samples)
    except ConfigError:  # the task was given another slice since; the items are shown without it
        return [None] * len(samples)
