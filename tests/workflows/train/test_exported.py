"""An export takes its place in one step, or what was there stays; and what the records say of it."""

import stat

import pytest

from freehold.errors import StorageError, UsageError
from freehold.workflows.train.exported import README, bytes_of, export_folder, hashes_of


def written(target, text):
    with export_folder(target) as folder:
        (folder / README).write_text(f"made by: freehold\n{text}")
        (folder / "part").mkdir()
        (folder / "part" / "a.bin").write_bytes(b"12")


def test_an_earlier_export_is_replaced_and_anything_else_left_alone(tmp_path):
    target = tmp_path / "made"
    written(target, "one")
    written(target, "two")
    assert "two" in (target / README).read_text()
    assert list(hashes_of(target)) == [README, "part/a.bin"]
    assert bytes_of(target) == 2 + (target / README).stat().st_size
    assert stat.S_IMODE((target / README).stat().st_mode) == 0o644
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="is not an export"):
        written(mine, "three")
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("fault", "told"), [(OSError(28, "No space left"), StorageError), (KeyError, KeyError)]
)
def test_what_fails_half_way_leaves_the_earlier_one(tmp_path, fault, told):
    target = tmp_path / "made"
    written(target, "one")
    with pytest.raises(told), export_folder(target) as folder:
        (folder / README).write_text("half")
        raise fault
    assert "one" in (target / README).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
