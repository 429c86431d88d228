import pytest

from freehold.errors import ConfigError
from freehold.store import open_store


@pytest.mark.parametrize(
    ("url", "message"),
    [("no url at all", "is not a database URL"), ("mysql://host/name", "does not store in mysql")],
)
def test_a_url_that_cannot_be_used(url, message):
    with pytest.raises(ConfigError, match=message):
        open_store(url)
