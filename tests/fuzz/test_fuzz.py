"""Every fuzz target: on the inputs that are checked in, on a few hundred new ones, and guided by coverage (slow)."""

import base64
import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.fuzz import runner
from tests.fuzz.draw import ODD, Draw, changed, pieces
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target, TookTooLong, watched
from tests.fuzz.targets import http

NAMES = sorted(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_are_checked_in(name):
    """Seeds, inputs that reached something new in longer runs, and each that once broke a promise."""
    target = TARGETS[name]
    known = [*target.seeds, *runner.corpus(name)]
    assert known
    for data in known:
        with watched():
            target.run(data)


@pytest.mark.parametrize("name", NAMES)
def test_new_inputs(name):
    target = TARGETS[name]
    known = [*target.seeds, *runner.corpus(name)]
    ahead = st.builds(lambda data, more: data[:8] + more, st.sampled_from(known), st.binary(max_size=40))

    @hypothesis.settings(
        max_examples=100, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.one_of(ahead, st.binary(max_size=80)))
    def holds(data):
        with watched():
            target.run(data)

    holds()


@pytest.mark.slow
@pytest.mark.skipif(not runner.guided(), reason="atheris is not installed: pip install 'freehold[fuzz]'")
@pytest.mark.parametrize("name", NAMES)
def test_guided_by_coverage(name, tmp_path):
    done = runner.run(name, seconds=90, seed=1, most=3_000, out=tmp_path)
    assert done.findings == ()
    assert done.guided and done.inputs > 0 and done.coverage


def test_a_broken_promise_is_written_down_once(tmp_path):
    def fails(data):
        if data.startswith(b"x"):
            raise KeyError("planted")

    one = runner._caught(Target("planted", fails, ""), tmp_path)
    for data in (b"a", b"xa", b"xb"):
        one(data)
    (said,) = [json.loads(path.read_text()) for path in tmp_path.glob("planted-*.json")]
    assert said["error"].startswith("KeyError") and base64.b64decode(said["input"]) == b"xa"


def test_an_input_that_does_not_end_is_ended(tmp_path):
    def hangs(data):
        while True:
            data = data[1:] + data[:1]

    with pytest.raises(TookTooLong), watched(0.2):
        hangs(b"abc")


def test_an_input_means_the_same_each_time():
    data = bytes(range(200))
    assert repr(changed(Draw(data), {"a": [1, {"b": 2}]})) == repr(changed(Draw(data), {"a": [1, {"b": 2}]}))
    assert b"".join(pieces(Draw(data), data)) == data
    assert Draw(b"").one_of(ODD) is None


GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("stream", "paths"),
    [
        (GET * 2, [b"/a", b"/a"]),
        (b"POST /b HTTP/1.1\r\ncontent-length: 28\r\n\r\n" + GET, [b"/b"]),
        (b"POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + GET, [b"/b", b"/a"]),
        (b"POST /b HTTP/1.1\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + GET, []),
        (b"POST /b HTTP/1.1\r\ncontent-length: 0\r\ncontent-length: 28\r\n\r\n" + GET, []),
        (b"POST /b HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + GET, []),
        (
            b"POST /b HTTP/1.0\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            + GET,
            [b"/b"],
        ),
        (b"GET /b HTTP/1.0\r\nconnection: close\r\nconnection: keep-alive\r\n\r\n" + GET, [b"/b"]),
        (b"GET /b\r\nhost: x\r\n\r\n" + GET, []),
        (b"GET /b HTTP/2.0\r\nhost: x\r\n\r\n" + GET, []),
    ],
)
def test_the_server_and_the_strict_reader_agree(stream, paths):
    """What the model of the target says, told by hand; and the server says the same."""
    assert [one.path for one in http.modelled(stream)] == paths
    assert [one.path for one in http._loop.run_until_complete(http._serve([stream]))] == paths


def test_corpora_are_small():
    sizes = {path.name: path.stat().st_size for path in Path(runner.CORPUS).glob("*.txt")}
    assert set(sizes) <= {f"{name}.txt" for name in NAMES}
    assert max(sizes.values()) < 20_000
