"""A page of a dataset's samples: one seek, however far it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.errors import InputError
from freehold.types.dataset import Dataset, Sample, SplitName

PAGE_SAMPLES = 20


class SamplePage(NamedTuple):
    """Samples of a split, of `total`; the next page begins at the byte `next_after`, None at the end."""

    samples: tuple[Sample, ...]
    total: int
    next_after: int | None


def sample_page(
    dataset: Dataset, split: SplitName, after: int = 0, *, most: int = PAGE_SAMPLES
) -> SamplePage:
    """The samples whose lines begin at the byte `after` of the split's file.

    Raises `InputError` for a file that is gone, and a place where no sample begins.
    """
    known = next((one for one in dataset.splits if one.name == split), None)
    if known is None:
        return SamplePage((), 0, None)
    path = Path(dataset.path) / known.file
    decoder = msgspec.json.Decoder(Sample)
    found: list[Sample] = []
    with files.reading(path, hint="freehold dataset build"), path.open("rb") as file:
        if after:
            file.seek(after - 1)
            if file.read(1) != b"\n":
                raise InputError(f"no sample begins at {after}", path=str(path), hint="open the screen again")
        while len(found) < most and (line := file.readline()):
            try:
                found.append(decoder.decode(line))
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise InputError(f"not a sample: {error}", path=str(path)) from None
        place = file.tell()
        more = bool(file.read(1))
    return SamplePage(tuple(found), known.samples, place if more else None)
