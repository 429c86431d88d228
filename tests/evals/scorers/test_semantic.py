import socket

import pytest
from tests.evals.scorers.conftest import score

from freehold.errors import ConfigError
from freehold.evals.scorers import make


def test_semantic_without_its_endpoint_is_unscored():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
    given = score("semantic", "a", "b", base_url=url, model="m")
    assert given.value is None
    assert given.reason.startswith("no_embedding")
    with pytest.raises(ConfigError, match="threshold is 2"):
        make("semantic", {"base_url": url, "model": "m", "threshold": 2})
