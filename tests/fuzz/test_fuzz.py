"""Every fuzz target: on the inputs that are checked in and on a hundred new ones. One is guided by coverage, for the
fuzzer's own sake; `python -m tests.fuzz` guides them all."""

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.fuzz import runner
from tests.fuzz.table import TARGETS
from tests.fuzz.target import watched
from tests.fuzz.targets import http

pytestmark = pytest.mark.process

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


@pytest.mark.skipif(not runner.guided(), reason="atheris is not installed: pip install 'freehold[fuzz]'")
def test_the_fuzzer_is_guided_by_coverage(tmp_path):
    done = runner.run("upstream", seconds=90, seed=1, most=1_000, out=tmp_path)
    assert done.findings == ()
    assert done.inputs > 0 and done.coverage


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
