"""Labels that differ between splits and with time are told, what one user repeats is not."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.datasets.traces import trace

from freehold.datasets.profile import LabelTimes, label_shifts
from freehold.types.dataset import Sample

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def split(count, rare, group=None):
    return [
        Sample(id=str(n), messages=(), gold="oos" if n < rare else f"i{n % 5}", group=group)
        for n in range(count)
    ]


def told(train, held_out, times=None):
    by_split = {"train": train, "validation": [], "held_out": held_out}
    return list(label_shifts(by_split, times or LabelTimes()))


def test_what_is_held_out_more_often_is_told():
    (said,) = told(split(600, 18), split(300, 54))
    assert "between what is learned from or chosen by and what is held out" in said
    assert ": oos 3.0% and 18.0%, i" in said
    assert told(split(600, 18), split(300, 9)) == []
    assert told(split(600, 18, group="one user"), split(300, 54, group="another")) == []


@pytest.mark.parametrize(("known", "count"), [(True, 1), (False, 0)])
def test_labels_that_change_with_time_are_told_where_the_time_is_known(known, count):
    times = LabelTimes()
    for n in range(400):
        at = DAY + timedelta(hours=n)
        one = trace(n, gold="oos" if n > 200 and n % 4 == 0 else f"i{n % 5}")
        times.add(msgspec.structs.replace(one, at=at, imported_at=None if known else at))
    found = told(split(600, 18), split(300, 9), times)
    assert len(found) == count
    assert all(
        "between the early half of the log and the late half" in one and "oos 0.0% and 24.5%" in one
        for one in found
    )
