"""From traces to samples in splits: groups, repeats, leaks, near duplicates.

A split is decided by a hash of (seed, group), where there is no group of (seed, question), so the same group always
lands in the same split, whatever else is in the data and however it is asked, and adding traces never moves old ones
between splits. Samples lie in a spool on disk meanwhile; in
memory stand about 120 bytes each.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from freehold import files
from freehold.datasets import near
from freehold.datasets.messages import all_asked as all_asked
from freehold.datasets.messages import asked_context
from freehold.datasets.messages import normalized_question as normalized_question
from freehold.datasets.sampling import Recipe, Rows, SampleSpool, calls_unoffered, with_id
from freehold.datasets.sampling import answer_of as answer_of
from freehold.datasets.sampling import sample_of as sample_of
from freehold.datasets.session_flow import LastTurns
from freehold.datasets.sessions import linked_samples
from freehold.errors import StorageError, UsageError
from freehold.late import np
from freehold.types.dataset import SPLITS, Dataset, NearDuplicates, Sample, Split, SplitName
from freehold.types.identity import Wordings, item_key, question_id, words
from freehold.types.record import content_id
from freehold.types.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt


MANIFEST = "manifest.json"


class Building(NamedTuple):
    """What `make_samples` found: samples by split, what was left out and why, and what was nearly the same.

    `conflicts` are pairs of samples that ask (nearly) the same and are to be answered differently, with their likeness.
    """

    by_split: Mapping[SplitName, Sequence[Sample]]
    dropped: Counter[str]
    near_duplicates: NearDuplicates | None = None
    conflicts: Sequence[tuple[Sample, Sample, float]] = ()
    conflict_count: int = 0


def require(building: Building, splits: Sequence[SplitName]) -> None:
    """Raise `UsageError` where one of `splits` would be empty."""
    for wanted in splits:
        if not building.by_split[wanted]:
            left = ", ".join(f"{count:,} × {reason}" for reason, count in building.dropped.most_common(3))
            raise UsageError(
                f"the {wanted} split would be empty ({sum(map(len, building.by_split.values()))} samples in all"
                + (f"; left out: {left})" if left else ")"),
                hint=_way_out(building.dropped),
            )


def write(
    building: Building,
    recipe: Recipe,
    *,
    name: str,
    root: Path,
    made_from: tuple[str, ...],
    version: str,
    incumbent_model: str | None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Write the splits and the manifest into ``root/<id>``; an identical dataset already there is returned.

    Raises `StorageError` when the disk refuses.
    """
    with files.writing(
        f"{root}: dataset cannot be written",
        hint="free some space or check who owns the folder, then run the command again",
    ):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=root, ignore_cleanup_errors=True) as made:
            partial = Path(made)
            counts: Counter[str] = Counter()
            splits = tuple(_write_split(partial, split, building.by_split[split], counts) for split in SPLITS)
            plain_recipe = msgspec.to_builtins(recipe)
            identity = content_id([{"splits": splits}, plain_recipe, incumbent_model])
            folder = root / identity
            dataset = Dataset(
                id=identity,
                name=name,
                path=str(folder),
                splits=splits,
                recipe=plain_recipe,
                made_from=made_from,
                version=version,
                dropped=dict(building.dropped),
                notes=notes,
                incumbent_model=incumbent_model,
                targets_from={"gold": counts["gold"], "incumbent": counts["incumbent"]},
            )
            if (folder / MANIFEST).exists():
                return dataset
            (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(dataset)))
            if folder.exists():  # one without a manifest: its making was cut off
                shutil.rmtree(folder)
            partial.rename(folder)
    return dataset


def _way_out(dropped: Counter[str]) -> str:
    """What to do about a split that would be empty, by what most of its samples were left out for."""
    reason = dropped.most_common(1)[0][0] if dropped else ""
    if "also held out" in reason:
        return "what is held out is what would be taught: name a held-out file that shares nothing with the others"
    if "other instructions" in reason:
        return "they differ only in their instructions: what is asked must stand in a user's message"
    if any("nearly the same" in one for one in dropped):
        return "your questions differ in little: raise [curate] near_duplicates, 0 compares only exactly"
    return "import more traces, or change [data] held_out; freehold dataset build needs some of both"


def _write_split(folder: Path, name: SplitName, samples: Sequence[Sample], counts: Counter[str]) -> Split:
    """Write one split, sample by sample, and count what its targets are."""
    digest = hashlib.sha256()
    groups: set[bytes] = set()
    file = f"{name}.jsonl"
    with (folder / file).open("wb") as out:
        for sample in samples:
            line = msgspec.json.encode(sample) + b"\n"
            digest.update(line)
            out.write(line)
            groups.add(hashlib.blake2b((sample.group or sample.id).encode(), digest_size=8).digest())
            if name != "held_out":
                counts["gold" if sample.gold is not None else "incumbent"] += 1
    return Split(name=name, file=file, samples=len(samples), groups=len(groups), sha256=digest.hexdigest())


def load(folder: Path) -> Dataset:
    """The manifest in `folder`. Raises `UsageError` when there is none."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Dataset)
    except FileNotFoundError:
        raise UsageError(f"{folder}: no dataset there", hint="freehold dataset build makes one") from None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise StorageError(
            f"{folder / MANIFEST}: not a dataset's manifest: {error}", hint="build the dataset again"
        ) from None


def samples(dataset: Dataset, split: SplitName) -> Iterator[Sample]:
    """The samples of one split, in order. Raises `StorageError` when the file is not what the manifest says.

    The file is read twice, first for its hash: no sample is given out of a file that was changed.
    """
    path = Path(dataset.path) / dataset.split(split).file
    with files.writing(str(path), hint="rebuild it: freehold dataset build"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != dataset.split(split).sha256:
        raise StorageError(
            f"{path}: content was changed after the dataset was built",
            hint=f"datasets are immutable: remove {dataset.path} and run freehold dataset build",
        )
    decoder = msgspec.json.Decoder(Sample)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line)


_ORDER: tuple[SplitName, ...] = ("held_out", "validation", "train")
"""Who keeps a question that stands in several splits: the first of these."""
SAME_QUESTION = "same question again, with other instructions or spacing"
UNOFFERED = "the answer calls a tool that was not offered"
"""No other model could be right there, and one that was taught it would call what the application does not have."""
_LOOKED_AT = 2000
"""This many questions decide which pieces of text all have in common."""


def split_of(key: str, recipe: Recipe) -> SplitName:
    """The split of a group: a uniform number in [0, 1) from SHA-256 of seed and key, cut at the shares."""
    digest = hashlib.sha256(f"{recipe.seed}:{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < recipe.held_out:
        return "held_out"
    return "validation" if place < recipe.held_out + (1 - recipe.held_out) * recipe.validation else "train"


def make_samples(
    traces: Iterable[Trace],
    recipe: Recipe,
    *,
    change: Callable[[Sample, SplitName], Sample] | None = None,
) -> Building:
    """Sort traces into splits and drop what must not be there.

    Dropped, and counted by reason: traces without an answer, or whose answer calls a tool that was not offered; repeats
    of the same item (one with gold wins, of several what was said last); training or validation samples whose question
    also stands in the held-out split, exactly or nearly (`Recipe.near_duplicates`); near repeats within training and
    validation.
    A trace whose metadata has ``split = "held_out"`` (a file the owner keeps for evaluation) goes there whole.

    `change` is applied to each sample before it is compared (personal data replaced, for example); splits are decided
    before it. The order of the traces decides only which of equals said at once is kept.
    """
    dropped: Counter[str] = Counter()
    spool = SampleSpool()
    index = _Index()
    for sample, step, stated_at_us in linked_samples(traces, recipe, dropped):
        if calls_unoffered(sample):
            dropped[UNOFFERED] += 1
            continue
        forced = sample.metadata.get("split")
        split: SplitName = (
            forced if forced in SPLITS else split_of(sample.group or question_id(sample.messages), recipe)
        )
        if change is not None:
            changed = change(sample, split)
            sample = sample if changed is sample else with_id(changed)
        spool.append(sample)
        index.add(sample, split, stated_at_us, step=step)
    conflicts = _Conflicts()
    torn = index.torn(by_conversation=recipe.group_by in (None, "conversation_id"))
    rows = index.distinct(torn, dropped, conflicts)
    rows = index.without_torn(rows, torn, dropped)
    rows = index.without_leaks(rows, dropped)
    found = None
    if recipe.near_duplicates:
        rows, found = _without_near(spool, index, rows, recipe.near_duplicates, dropped, conflicts)
    by_split = {name: rows[index.split_codes(rows) == _ORDER.index(name)] for name in SPLITS}
    if recipe.limit is not None:
        by_split["train"] = by_split["train"][: recipe.limit]
    if recipe.held_out_limit is not None:
        by_split["held_out"] = by_split["held_out"][: recipe.held_out_limit]
    return Building(
        {name: Rows(spool, by_split[name].tolist()) for name in SPLITS},
        dropped,
        found,
        conflicts.first(spool),
        len(conflicts.pairs),
    )


class _Conflicts:
    """Pairs of rows that ask nearly the same with different right answers."""

    MOST = 20

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int, float]] = []

    def add(self, first: int, second: int, alike: float) -> None:
        self.pairs.append((first, second, alike))

    def first(self, spool: SampleSpool) -> list[tuple[Sample, Sample, float]]:
        likest = sorted(self.pairs, key=lambda pair: (-pair[2], pair[:2]))[: self.MOST]
        return [(spool[first], spool[second], alike) for first, second, alike in likest]


class _Index:
    """A row of numbers for each sample of the spool."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._flags = array("B")

    def add(self, sample: Sample, split: SplitName, stated_at_us: int, *, step: bool) -> None:
        gold, disliked = sample.gold is not None, sample.disliked
        self._bytes += item_key(sample)
        self._bytes += stated_at_us.to_bytes(8)
        question = normalized_question(sample, step=step)
        self._bytes += _digest(question) + _digest(sample.group or "")
        self._bytes += _digest(sample.gold or "") + bytes.fromhex(sample.id[:16])
        grouped = sample.group is not None
        self._flags.append(_ORDER.index(split) | gold << 2 | disliked << 3 | grouped << 4 | step << 5)

    def _column(self, at: int) -> npt.NDArray[np.uint64]:
        table: npt.NDArray[np.uint64] = np.frombuffer(self._bytes, dtype=">u8").reshape(-1, 7)
        return table[:, at].astype(np.uint64)

    def flags(self) -> npt.NDArray[np.uint8]:
        return np.array(self._flags, dtype=np.uint8)

    def split_codes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Places in `_ORDER`."""
        codes: npt.NDArray[np.uint8] = self.flags()[rows] & np.uint8(3)
        return codes

    def has_gold(self) -> npt.NDArray[np.bool_]:
        return (self.flags() >> 2 & 1).astype(np.bool_)

    def is_disliked(self) -> npt.NDArray[np.bool_]:
        return (self.flags() >> 3 & 1).astype(np.bool_)

    def is_step(self) -> npt.NDArray[np.bool_]:
        return (self.flags() >> 5 & 1).astype(np.bool_)

    def groups(self) -> npt.NDArray[np.uint64]:
        """A number for each group; a row without a group is one of its own (0)."""
        return np.where(self.flags() >> 4 & 1, self._column(4), np.uint64(0))

    def golds(self) -> npt.NDArray[np.uint64]:
        return self._column(5)

    def distinct(
        self, torn: npt.NDArray[np.bool_], dropped: Counter[str], conflicts: _Conflicts
    ) -> npt.NDArray[np.int64]:
        """Rows by item, one of each: of repeats the held-out one, one that is not `torn`, one with gold, one
        that was not disliked, else what was said last.

        Repeats with another right answer are conflicts: what a later import replaced is not among the traces.
        """
        if not len(self._flags):
            return np.empty(0, dtype=np.int64)
        high, low, stated = self._column(0), self._column(1), self._column(2)
        later = -np.arange(len(stated))
        order = np.lexsort(
            (later, ~stated, self.is_disliked(), ~self.has_gold(), torn, self.flags() & 3, low, high)
        )
        same = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
        if same.any():
            before, after = order[:-1][same], order[1:][same]
            # The first of equals is the one that stays: what is held out goes first.
            starts = np.maximum.accumulate(
                np.where(np.concatenate(([True], ~same)), np.arange(len(order)), 0)
            )
            kept = order[starts][1:][same]
            codes = self.flags() & 3
            alike = self._column(6)[kept] == self._column(6)[after]
            leaks = np.where(codes[kept] == 0, codes[after], 0)
            for code, exactly in zip(leaks.tolist(), alike.tolist(), strict=True):
                again = "same request again" if exactly else SAME_QUESTION
                dropped[f"{_ORDER[code]} question also held out" if code else again] += 1
            differ = (
                self.has_gold()[before]
                & self.has_gold()[after]
                & (self.golds()[before] != self.golds()[after])
            )
            for first, second in zip(before[differ].tolist(), after[differ].tolist(), strict=True):
                conflicts.add(first, second, 1.0)
        return order[np.concatenate(([True], ~same))]

    def torn(self, *, by_conversation: bool) -> npt.NDArray[np.bool_]:
        """Which rows are of a conversation that stands in a split with precedence over theirs: where a file that is
        kept for evaluation holds a step of one, the others are not taught."""
        groups, codes = self.groups(), self.flags() & 3
        if not by_conversation or not len(codes):
            return np.zeros(len(codes), dtype=np.bool_)
        _, of = np.unique(groups, return_inverse=True)
        first = np.full(len(codes), 3, dtype=np.uint8)
        np.minimum.at(first, of, codes)
        found: npt.NDArray[np.bool_] = (groups != 0) & (codes > first[of])
        return found

    def without_torn(
        self, rows: npt.NDArray[np.int64], torn: npt.NDArray[np.bool_], dropped: Counter[str]
    ) -> npt.NDArray[np.int64]:
        """Rows that are not `torn`."""
        for code in self.split_codes(rows[torn[rows]]).tolist():
            dropped[f"{_ORDER[code]} step of a conversation that is held out"] += 1
        kept: npt.NDArray[np.int64] = rows[~torn[rows]]
        return kept

    def without_leaks(self, rows: npt.NDArray[np.int64], dropped: Counter[str]) -> npt.NDArray[np.int64]:
        """Rows whose question does not stand in a split that takes precedence over theirs."""
        questions, codes = self._column(3)[rows], self.split_codes(rows)
        leaks = np.zeros(len(rows), dtype=np.bool_)
        for code in (1, 2):
            before = np.unique(questions[(codes < code) & ~leaks])
            here = (codes == code) & np.isin(questions, before)
            if here.any():
                dropped[f"{_ORDER[code]} question also held out"] += int(here.sum())
            leaks |= here
        return rows[~leaks]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _without_reworded(
    spool: SampleSpool, index: _Index, rows: npt.NDArray[np.int64], across: Counter[str]
) -> npt.NDArray[np.int64]:
    """Rows without those that differ in one word from what a split with precedence over theirs holds (`Wordings`), and
    are not to be answered differently: there the word is what is asked about."""
    codes, golds = index.split_codes(rows), np.where(index.has_gold(), index.golds(), np.uint64(0))[rows]
    gone = np.zeros(len(rows), dtype=np.bool_)
    for keeper in (0, 1):
        kept = np.flatnonzero((codes == keeper) & ~gone)
        known = Wordings(words(spool[row]) for row in rows[kept].tolist())
        for place in np.flatnonzero((codes > keeper) & ~gone).tolist():
            found = known.near(words(spool[int(rows[place])]))
            near_golds = golds[kept[np.fromiter(found, dtype=np.int64, count=len(found))]]
            if np.any((near_golds == golds[place]) | (near_golds == 0) | (golds[place] == 0)):
                gone[place] = True
                across[f"{_ORDER[codes[place]]}: {_ORDER[keeper]}"] += 1
    return rows[~gone]


def _without_near(
    spool: SampleSpool,
    index: _Index,
    rows: npt.NDArray[np.int64],
    threshold: float,
    dropped: Counter[str],
    conflicts: _Conflicts,
) -> tuple[npt.NDArray[np.int64], NearDuplicates]:
    """Rows without near duplicates: of two in different splits the later one in `_ORDER` goes, of two in training or
    in validation the one without gold, else the later one. Held-out ones stay: traffic repeats.

    Steps of one conversation are not compared; steps of different ones are alike where their last turns are, too
    (`LastTurns`). Two that are to be answered differently both stay and are a conflict.
    """
    across: Counter[str] = Counter()
    rows = _without_reworded(spool, index, rows, across)
    looked = rows[:: max(1, len(rows) // _LOOKED_AT)]
    common = near.common_pieces(asked_context(spool[row]) for row in looked.tolist())
    signed, there = near.signatures(
        (near.pieces(asked_context(spool[row]), common) for row in rows.tolist()), len(rows)
    )
    codes, golds, has_gold = index.split_codes(rows), index.golds()[rows], index.has_gold()[rows]
    groups, steps = index.groups()[rows], index.is_step()[rows]
    pairs = near.near_pairs(signed, there, threshold, codes == 0)
    gone = np.zeros(len(rows), dtype=np.bool_)
    within: Counter[str] = Counter()
    repeated: set[int] = set()
    turns = LastTurns(spool, rows, threshold)
    places = [
        (first, second, alike)
        for first, second, alike in zip(
            pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), strict=True
        )
        if not (steps[first] and steps[second] and groups[first] == groups[second])
        and turns.alike(first, second)
    ]
    for first, second, alike in places:
        differ = has_gold[first] and has_gold[second] and golds[first] != golds[second]
        if differ:
            conflicts.add(int(rows[first]), int(rows[second]), alike)
    # Between splits first, by who keeps it: what is gone already repeats nothing.
    for keeper in (0, 1):
        for first, second, _ in places:
            keeps, goes = sorted((first, second), key=lambda place: codes[place])
            if codes[keeps] == keeper and codes[goes] > keeper and not gone[goes] and not gone[keeps]:
                gone[goes] = True
                across[f"{_ORDER[codes[goes]]}: {_ORDER[codes[keeps]]}"] += 1
    for first, second, _ in places:
        if codes[first] != codes[second] or gone[first] or gone[second]:
            continue
        if groups[first] and groups[first] == groups[second]:
            continue
        if codes[first] == 0:
            repeated.add(second)
        elif not (has_gold[first] and has_gold[second] and golds[first] != golds[second]):
            gone[first if has_gold[second] and not has_gold[first] else second] = True
            within[_ORDER[codes[first]]] += 1
    for name, count in across.items():
        goes, _, keeps = name.partition(": ")
        dropped[f"{goes} question nearly the same as one in {keeps.replace('_', '-')}"] += count
    for name, count in within.items():
        dropped[f"{name} question nearly the same as another there"] += count
    found = NearDuplicates(
        threshold=threshold,
        across=dict(across),
        within=dict(within),
        in_held_out=len(repeated),
        common_pieces=len(common),
    )
    return rows[~gone], found
