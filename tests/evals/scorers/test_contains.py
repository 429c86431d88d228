import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make


def test_contains():
    assert value("contains", "Your  Refund\nis on the way", "refund is") == 1.0
    assert value("contains", "a refund", None, all=["refund"], none=["sorry"]) == 1.0
    assert (
        score("contains", "sorry, a refund", None, all=["refund"], none=["sorry"]).reason
        == "forbidden: sorry"
    )
    assert value("contains", "b", None, any=["a", "b"]) == 1.0
    assert value("contains", "catalog", "cat") == 1.0
    assert value("contains", "catalog", "cat", words=True) == 0.0
    assert value("contains", "Cat", "cat", case_sensitive=True) == 0.0
    with pytest.raises(ConfigError, match="empty text"):
        make("contains", {"all": [" "]})
