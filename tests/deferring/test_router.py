import hashlib
import math
import os
import random
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from freehold.deferring.learning import learn_router
from freehold.deferring.request_text import READ_CHARACTERS, request_text
from freehold.deferring.router import MAGIC, WEIGHTS, Router, packed, places, write_router
from freehold.errors import StorageError, UsageError
from freehold.types.deferral import RouterFiles


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
    router = Router.load(write_router(packed(values, -0.5), tmp_path / "new"))
    raw = -0.5 + values[words].sum() / math.sqrt(len(words)) + values[letters].sum() / math.sqrt(len(letters))
    assert router.score_text("Where is my card?") == pytest.approx(raw, rel=1e-5)


def test_what_holds_no_text_gives_none():
    router = Router.of(packed(weights(), -0.5))
    for request in (
        {},
        {"messages": None},
        {"messages": ["x"]},
        asking(),
        asking("  "),
        asking("x", role="system"),
    ):
        assert request_text(request) == ""
    assert router.score_text(request_text(asking("x"))) == pytest.approx(-0.5)
    assert math.isfinite(router.score_text(request_text(asking("\ud800 half a pair"))))


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
    router = write_router(packed(weights(), -0.5), tmp_path)
    other = write_router(packed(weights(_3=1.0), -0.5), tmp_path)
    swapped = msgspec.structs.replace(router, path=other.path)
    with pytest.raises(StorageError, match=f"{other.sha256[:12]}.*{router.sha256[:12]}"):
        Router.load(swapped)
    with pytest.raises(StorageError, match="cannot be read"):
        Router.load(msgspec.structs.replace(router, path=str(tmp_path / "gone")))


def test_a_file_that_never_ends_is_not_read_to_the_end():
    with pytest.raises(StorageError, match="not the one"):
        Router.load(RouterFiles(path="/dev/zero", sha256="0" * 64))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin"),
        (MAGIC, "length"),
        (packed(weights(), -0.5)[:-1], "length"),
        (packed(weights(), -0.5).replace(b"router 2", b"router 1"), "version"),
        (packed(weights(), -0.5)[:-4] + np.float32(1e9).tobytes(), "weight"),
        (packed(weights(_5=math.nan), -0.5), "weight"),
    ],
)
def test_a_file_that_is_no_router_is_refused_even_with_its_hash(tmp_path, data, why):
    with pytest.raises(StorageError, match=why):
        Router.load(files_of(tmp_path, data))


EASY = ("where is my card", "my card has not come", "when does the card arrive", "card delivery status")
HARD = (
    "compare both loans over ten years",
    "explain this clause",
    "why does the rate differ",
    "what does the law say",
)


def requests(n, seed=0):
    rng = random.Random(seed)
    texts, good = [], []
    for number in range(n):
        easy = rng.random() < 0.6
        texts.append(f"{rng.choice(EASY if easy else HARD)} {rng.choice('abcdef')}{number % 7}")
        good.append(easy if rng.random() < 0.95 else not easy)
    return texts, good


def test_a_router_learns_which_requests_the_candidate_is_good_at():
    texts, good = requests(300)
    router = Router.of(learn_router(texts, good).file)
    assert router.score_text("where is the card of mine") > 1
    assert router.score_text("explain what the law says of loans") < -1


def test_the_same_samples_give_the_same_router():
    texts, good = requests(80)
    assert learn_router(texts, good).file == learn_router(texts, good).file


def test_what_is_executed_is_what_was_learned():
    texts, good = requests(120)
    router = Router.of(learn_router(texts, good).file)
    scores = np.array([router.score_text(text) for text in texts])
    assert np.mean((scores > 0) == np.array(good)) > 0.9


def test_cross_fitted_scores_never_saw_their_own_group():
    """Good at random: a router that saw a sample's own text would know it by heart, one that did not knows nothing."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(200)]
    # Each text stands twice, with the same end, in one group.
    ends = [rng.random() < 0.5 for _ in words]
    texts, good = [word for word in words for _ in (0, 1)], [end for end in ends for _ in (0, 1)]
    groups = [word for word in words for _ in (0, 1)]
    kept_apart = learn_router(texts, good, groups=groups).scores
    torn = learn_router(texts, good).scores
    assert abs(np.mean((kept_apart > 0) == np.array(good)) - 0.5) < 0.12
    assert np.mean((torn > 0) == np.array(good)) > 0.75


def test_samples_of_one_kind_are_refused_in_words():
    with pytest.raises(UsageError, match="all 3 of the candidate's answers are as good as"):
        learn_router(["a", "b", "c"], [True] * 3)
    with pytest.raises(UsageError, match="worse than"):
        learn_router(["a", "b"], [False] * 2)
    with pytest.raises(UsageError):
        learn_router([], [])


def test_few_samples_with_one_of_a_kind_are_learned_from_without_a_crash():
    texts = [f"request {number}" for number in range(12)]
    good = [number != 3 for number in range(12)]
    assert len(learn_router(texts, good).scores) == 12
    assert math.isfinite(Router.of(learn_router(texts, good).file).score_text("request 3"))


def turns(*contents):
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def test_the_users_turns_are_read_the_newest_first_and_no_others():
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "second"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    assert request_text({"messages": messages}) == "second\nfirst"


def test_a_long_text_is_read_at_both_ends():
    text = request_text(turns("a" * 10_000 + "b" * 10_000))
    assert len(text) == READ_CHARACTERS + 1
    assert text.startswith("aaa") and text.endswith("bbb")
    assert len(request_text(turns(*["word " * 400] * 50))) <= READ_CHARACTERS + 1


@pytest.mark.process
def test_it_needs_no_numbers():
    code = "import sys, freehold.gateway.proxy.reading; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
