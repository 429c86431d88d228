import pytest
from tests.workflows.journey.paraphrasing.writer import Writer


@pytest.fixture
def writer():
    """`writer(write, label)` starts one."""
    started = []

    def start(write=None, label=None):
        started.append(Writer(write, label))
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()
