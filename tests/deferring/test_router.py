import hashlib
import math
import os
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from freehold.deferring.router import (
    MAGIC,
    WEIGHTS,
    Router,
    RouterHead,
    packed,
    places,
    write_router,
)
from freehold.errors import StorageError
from freehold.types.deferral import RouterFiles

HEAD = RouterHead(version=1, words=1 << 15, letters=1 << 16, intercept=-0.5, samples=10, penalty=1.0)


def weights(**places_and_values):
    found = np.zeros(WEIGHTS, dtype=np.float32)
    for place, value in places_and_values.items():
        found[int(place[1:])] = value
    return found


def asking(*contents, role="user"):
    return {"messages": [{"role": role, "content": content} for content in contents]}


def test_a_router_scores_what_its_weights_say(tmp_path):
    words, letters = places("Where is my card?")
    values = np.random.default_rng(1).normal(size=WEIGHTS).astype(np.float32)
    router = Router.load(write_router(packed(HEAD, values), tmp_path / "new"))
    raw = -0.5 + values[words].sum() / math.sqrt(len(words)) + values[letters].sum() / math.sqrt(len(letters))
    assert router.score(asking("Where is my card?")) == pytest.approx(1 / (1 + math.exp(-raw)), rel=1e-5)
    assert router.head == HEAD


def test_what_holds_no_text_has_no_score():
    router = Router.of(packed(HEAD, weights()))
    for request in (
        {},
        {"messages": None},
        {"messages": ["x"]},
        asking(),
        asking("  "),
        asking("x", role="system"),
    ):
        assert math.isnan(router.score(request))
    assert router.score(asking("x")) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert 0 < router.score(asking("\ud800 half a pair")) < 1


@pytest.mark.process
def test_hashes_are_the_same_in_every_process():
    code = "from freehold.deferring.router import places; print([p.tolist() for p in places('Grüße an card 7!')])"
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    words, letters = places("Grüße an card 7!")
    assert told.stdout.strip() == str([words.tolist(), letters.tolist()])
    # A router that was proven must go on reading alike, whatever version of Python and numpy.
    assert words.tolist()[:3] == [22236, 18925, 1094]
    assert letters.min() >= 1 << 15 and letters.max() < WEIGHTS


def files_of(tmp_path, data):
    path = tmp_path / "router.bin"
    path.write_bytes(data)
    return RouterFiles(path=str(path), sha256=hashlib.sha256(data).hexdigest())


def test_another_file_than_the_proven_one_is_refused_with_both_hashes(tmp_path):
    router = write_router(packed(HEAD, weights()), tmp_path)
    other = write_router(packed(HEAD, weights(_3=1.0)), tmp_path)
    swapped = msgspec.structs.replace(router, path=other.path)
    with pytest.raises(StorageError, match=f"{other.sha256[:12]}.*{router.sha256[:12]}"):
        Router.load(swapped)
    with pytest.raises(StorageError, match="cannot be read"):
        Router.load(msgspec.structs.replace(router, path=str(tmp_path / "gone")))


def test_a_file_that_never_ends_is_not_read_to_the_end():
    with pytest.raises(StorageError, match="not the one"):
        Router.load(RouterFiles(path="/dev/zero", sha256="0" * 64))


def body_with(**changes):
    return packed(msgspec.structs.replace(HEAD, **changes), weights())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin"),
        (b"\x80\x04pickle", "begin"),
        (MAGIC, "begin"),
        (MAGIC + b"\xff\xff\xff\xff", "length"),
        (packed(HEAD, weights())[:-1], "length"),
        (packed(HEAD, weights()) + b"x", "length"),
        (MAGIC + b"\x02\x00\x00\x00[]" + weights().tobytes(), "head"),
        (body_with(version=2), "version 2"),
        (body_with(words=7), "version"),
        (body_with(intercept=1e9), "weight"),
        (packed(HEAD, weights(_5=math.nan)), "weight"),
        (packed(HEAD, weights(_5=math.inf)), "weight"),
        (packed(HEAD, weights(_5=-1e5)), "weight"),
    ],
)
def test_a_file_that_is_no_router_is_refused_even_with_its_hash(tmp_path, data, why):
    with pytest.raises(StorageError, match=why):
        Router.load(files_of(tmp_path, data))
