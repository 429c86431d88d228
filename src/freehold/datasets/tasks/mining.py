"""Templates recovered from prompts: what is constant over many of them, whatever stands between.

Each text is a set of shingles (three tokens in a row). The commonest shingle parts the texts into those with and those
without it, and so on down, which gives a tree: what all texts of a branch share is its core. Going up again, a core is
a template, and its branches are either values of a slot or tasks of their own behind a common preamble (`_are_tasks`
has the rules). It is the idea of LogCluster (Vaarandi and Pihelgas, 2015: templates by frequent words, with gaps of any
length), on shingles; see docs/decisions/084-tasks-by-skeleton.md.

Covered: slots of any length anywhere, retrieved documents that come again, time stamps, names, several templates
behind one preamble.
Not covered: templates in which no three words in a row stay the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.datasets.tasks.pieces import Cut, Cutter, is_number, stand_in_order
from freehold.late import np, sparse

if TYPE_CHECKING:
    import numpy.typing as npt

Rows: TypeAlias = "npt.NDArray[np.int64]"
_ALL = 0.95
"""A shingle is shared by all texts of a branch where it is in this share of them."""
_COVERED = 0.8
_FEW_TASKS = 12
_OWN_WORDS = 8
"""A task behind a preamble says at least this many shingles of its own; less is a word in a slot."""
_SHORT_PREAMBLE = 14
_LEAST_CORE, _LONG_CORE = 4, 12
_LEAST_TURN, _LEAST_PLAIN_TURN = 3, 7
"""Shingles that make a template of a user's turn: with a mark that sets off a slot, and without one."""
_MARKS = frozenset(":\n`<>#|[]{}=")
_OPENS_SLOT = frozenset(':>`"=“«|')
_MOST_DEEP = 40
_CHECKED = 200
_OFTEN = 0.1
_LEAST_PIECE = 2
_LEAST_STRETCH, _LEAST_OPENING, _LEAST_CLOSING = 2, 5, 8
"""Words at an end of a user's turn that instruct: with a mark among them, and without one at its beginning and
its end."""


class Template(NamedTuple):
    """Constant pieces of a prompt, in order, and one text made from them."""

    pieces: tuple[str, ...]
    example: str

    @property
    def characters(self) -> int:
        """How much of it is constant."""
        return sum(map(len, self.pieces))


class _Branch(NamedTuple):
    rows: Rows
    core: npt.NDArray[np.bool_]


def templates(texts: Sequence[str], *, user_turns: bool, least: int = 5) -> list[Template]:
    """The templates behind `texts`, the most constant first. A template stands behind `least` texts or more.

    Texts of users (`user_turns`) are mostly no instructions: more is asked of a template there, and texts that
    repeat count once. Pure.
    """
    counted = Counter(text for text in texts if text)
    if not counted:
        return []
    unique: dict[tuple[str, ...], Template] = {}
    while counted:
        found = _Miner(counted, user_turns=user_turns, least=least).templates()
        if not found:
            break
        unique |= {template.pieces: template for template in found}
        # A prompt of a few percent stands in the shadow of one that nearly all texts share: once more without those.
        left = {
            text: times
            for text, times in counted.items()
            if not any(stand_in_order(template.pieces, text) for template in found)
        }
        if len(left) == len(counted):
            break
        counted = Counter(left)
    return sorted(unique.values(), key=lambda one: (-one.characters, one.pieces))


class _Miner:
    def __init__(self, counted: Counter[str], *, user_turns: bool, least: int) -> None:
        self.user_turns, self.least = user_turns, least
        self.texts = list(counted)
        self.times = np.array([counted[text] for text in self.texts], dtype=np.float64)
        self.weights = np.ones(len(self.texts)) if user_turns else self.times
        cutter = Cutter()
        self.cuts = [cutter.cut(text) for text in self.texts]
        self.shingles = [cut.shingles() for cut in self.cuts]
        self.holds, self.names = self._matrix([np.unique(some) for some in self.shingles])
        self.parted = self.holds
        """What all texts are parted by: of what users say, its ends."""
        if user_turns:
            ends = [np.unique(np.concatenate([some[:2], some[-2:]])) for some in self.shingles]
            self.parted = self._matrix(ends, self.names)[0]

    def _matrix(
        self, each: list[npt.NDArray[np.uint64]], among: npt.NDArray[np.uint64] | None = None
    ) -> tuple[sparse.csr_matrix, npt.NDArray[np.uint64]]:
        """Which text holds which shingle, of those that `least` texts hold, or of those `among`."""
        owners = np.repeat(np.arange(len(each)), [len(some) for some in each])
        names, columns = np.unique(np.concatenate(each), return_inverse=True)
        if among is None:
            times = np.bincount(columns, weights=self.weights[owners], minlength=len(names))
            among = names[times >= self.least]
        place = np.searchsorted(among, names)
        known = np.isin(names, among)
        kept = known[columns]
        ones = np.ones(int(kept.sum()))
        shape = (len(each), len(among))
        return sparse.csr_matrix((ones, (owners[kept], place[columns[kept]])), shape=shape), among

    def templates(self) -> list[Template]:
        rows = np.arange(len(self.texts), dtype=np.int64)
        found = [] if not len(self.names) else self._below(rows, np.zeros(len(self.names), dtype=np.bool_), 0)
        made = [self._template(branch) for branch in found]
        if self.user_turns:
            made += self._repeated()
        return [template for template in made if template is not None]

    def _below(self, rows: Rows, above: npt.NDArray[np.bool_], depth: int) -> list[_Branch]:
        """The templates among `rows`, which share the shingles `above`."""
        weight = self.weights[rows].sum()
        counts = self._counts(self.holds, rows)
        core = above | (counts >= _ALL * weight)
        branch = _Branch(rows, core)
        parts: list[_Branch] = []
        rest = rows
        if depth < _MOST_DEEP:
            # What users say is parted by its ends first: what is common in the middle is content and tears tasks apart.
            held = self.holds if depth else self.parted
            for part in self._parts(held, rows, core):
                found = self._below(part, core, depth + 1)
                parts += found
                if found:
                    rest = np.setdiff1d(rest, part, assume_unique=True)
        if not self._is_template(branch):
            return parts
        if not parts or not self._are_tasks(branch, parts):
            return [branch]
        return [*parts, branch] if self.weights[rest].sum() >= self.least else parts

    def _counts(self, held: sparse.csr_matrix, rows: Rows) -> npt.NDArray[np.float64]:
        counts: npt.NDArray[np.float64] = held[rows].T @ self.weights[rows]
        return counts

    def _parts(self, held: sparse.csr_matrix, rows: Rows, core: npt.NDArray[np.bool_]) -> list[Rows]:
        """`rows` parted by the commonest shingle that not all share, then the remaining ones, and so on."""
        parts: list[Rows] = []
        counts = self._counts(held, rows)
        counts[core] = 0
        columns = held[rows].tocsc()
        left = np.ones(len(rows), dtype=np.bool_)
        while len(counts):
            best = int(np.argmax(counts))
            if counts[best] < self.least:
                break
            holding = columns.indices[columns.indptr[best] : columns.indptr[best + 1]]
            taken = holding[left[holding]]
            part = rows[taken]
            left[taken] = False
            counts = counts - self._counts(held, part)
            counts[best] = 0
            parts.append(np.sort(part))
        return parts

    def _is_template(self, branch: _Branch) -> bool:
        own = int(branch.core.sum())
        if not self.user_turns:
            return own >= _LEAST_CORE and (own >= _LONG_CORE or self._has_end(branch))
        return own > 0 and len(branch.rows) >= self.least and self._instructs(branch)

    def _has_end(self, branch: _Branch) -> bool:
        """Whether the template begins or ends the texts: a few words in their middle are a phrase."""
        example = int(branch.rows[0])
        constant = self._constant(example, branch.core)
        return all(constant[:_LEAST_TURN]) or all(constant[-_LEAST_TURN:])

    def _instructs(self, branch: _Branch) -> bool:
        """Whether a constant stretch at the beginning or the end of a user's turn reads as an instruction: there is a
        mark that sets off what follows or went before (a colon, a line break, a tag), or it is long and frequent."""
        example = int(branch.rows[0])
        cut, text = self.cuts[example], self.texts[example]
        constant = self._constant(example, branch.core)
        words = [text[begin:end] for begin, end in cut.spans]
        marked = sum(constant) > _LEAST_PLAIN_TURN and not _MARKS.isdisjoint(
            word for word, one in zip(words, constant, strict=True) if one
        )
        often = len(branch.rows) >= _OFTEN * len(self.texts)
        # People end alike more often than they begin alike ("who do I ask").
        ends = (
            (_leading(words, constant), _LEAST_OPENING),
            (_leading(words[::-1], constant[::-1]), _LEAST_CLOSING),
        )
        for stretch, least_plain in ends:
            if len(stretch) >= _LEAST_TURN and marked:
                return True
            if len(stretch) >= _LEAST_STRETCH and not _MARKS.isdisjoint(stretch):
                return True
            if len(stretch) >= least_plain and often:
                return True
        return False

    def _are_tasks(self, branch: _Branch, parts: list[_Branch]) -> bool:
        """Whether parts of a template are tasks of their own (else they are values of a slot).

        They are where each says enough of its own, they cover nearly everything, the template does not end with a mark
        that opens a slot, and they are few, or the template is a mere greeting ("You are a helpful assistant.").
        """
        shared = int(branch.core.sum())
        if len(parts) < 2 or any(int(part.core.sum()) - shared < _OWN_WORDS for part in parts):
            return False
        covered = self.weights[np.unique(np.concatenate([part.rows for part in parts]))].sum()
        if covered < _COVERED * self.weights[branch.rows].sum():
            return False
        if sum(self._opens_slot(branch, part) for part in parts) * 2 > len(parts):
            return False
        return len(parts) <= _FEW_TASKS or shared <= _SHORT_PREAMBLE

    def _opens_slot(self, branch: _Branch, part: _Branch) -> bool:
        """Whether the template's last constant token before the part's own ones is a mark that opens a slot."""
        example = int(part.rows[0])
        cut, text = self.cuts[example], self.texts[example]
        shared = self._constant(example, branch.core)
        own = self._constant(example, part.core)
        first = next((at for at in range(len(own)) if own[at] and not shared[at]), None)
        if first is None:
            return False
        before = [text[slice(*cut.spans[at])] for at in range(max(0, first - 3), first)]
        words = [word for word in before if word != "\n"]
        return bool(words) and words[-1] in _OPENS_SLOT

    def _constant(self, example: int, core: npt.NDArray[np.bool_]) -> list[bool]:
        """Which tokens of a text are covered by a shingle of `core`."""
        held = self._held(example, core)
        covered = np.zeros(len(self.cuts[example].ids), dtype=np.bool_)
        for shift in range(3):
            covered[shift : shift + len(held)] |= held
        return [bool(one) for one in covered[1:-1]]

    def _held(self, example: int, core: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which shingles of a text, in order, are in `core`."""
        return np.isin(self.shingles[example], self.names[core])

    def _template(self, branch: _Branch) -> Template | None:
        """The pieces that the texts of a branch share, checked against the texts themselves."""
        rows = branch.rows[:: max(1, len(branch.rows) // _CHECKED)]
        example = int(
            max(rows, key=lambda row: int(np.isin(self.names[branch.core], self.shingles[row]).sum()))
        )
        pieces = _runs(self.cuts[example], self.texts[example], self._held(example, branch.core))
        texts = [(self.texts[row], float(self.weights[row])) for row in rows.tolist()]
        most = _ALL * sum(weight for _, weight in texts)
        sound = [piece for piece in pieces if sum(weight for text, weight in texts if piece in text) >= most]
        while sound and sum(weight for text, weight in texts if stand_in_order(sound, text)) < most:
            sound = sound[:-1]
        if not sound or (self.user_turns and sum(map(len, sound)) < 2 * _LEAST_PIECE):
            return None
        return Template(tuple(sound), self.texts[example])

    def _repeated(self) -> list[Template]:
        """First turns that come again word for word in many requests: a prompt's own examples, sent as messages."""
        often = np.flatnonzero(self.times >= max(2 * self.least, _OFTEN * self.times.sum()))
        return [
            Template((self.texts[row],), self.texts[row])
            for row in often.tolist()
            if len(self.cuts[row].spans) >= _OWN_WORDS
        ]


def _leading(words: Sequence[str], constant: Sequence[bool]) -> list[str]:
    """The constant words that a text begins with."""
    changing = next((at for at, one in enumerate(constant) if not one), len(constant))
    return list(words[:changing])


def _runs(cut: Cut, text: str, held: npt.NDArray[np.bool_]) -> list[str]:
    """Stretches of constant tokens as they stand in the text; `held` says which shingles are constant.

    A number ends a stretch, and so does a place that no constant shingle spans: something may stand there elsewhere.
    """
    pieces: list[str] = []
    begin = last = -1

    def end() -> None:
        if begin >= 0:
            piece = text[cut.spans[begin][0] : cut.spans[last][1]].strip()
            if len(piece) >= _LEAST_PIECE:
                pieces.append(piece)

    for at in range(len(cut.spans)):
        # Token `at` stands at place `at` + 1 of the ids; shingle k spans the places k to k + 2.
        spanned = held[max(0, at - 1) : at + 2].any() and not is_number(int(cut.ids[at + 1]))
        joined = spanned and begin >= 0 and last == at - 1 and bool(held[max(0, at - 1) : at + 1].any())
        if joined:
            last = at
        else:
            end()
            begin = last = at if spanned else -1
    end()
    return pieces
