import pytest
from tests.store.examples import trace

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.store import open_store
from freehold.store.urls import file_url, store_file


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url at all", "is not a database URL"),
        ("mysql://host/name", "does not store in mysql"),
        ("sqlite://data/freehold.sqlite3", "names no file"),
    ],
)
def test_a_url_that_cannot_be_used(url, message):
    with pytest.raises(ConfigError, match=message):
        open_store(url)


ODD = [
    "a b",
    "ünï",
    "what?",
    "a%20b",
    "%",
    "a#b",
    "back\\slash",
]


@pytest.mark.parametrize("name", ODD)
def test_a_store_lies_where_its_path_says(tmp_path, name):
    file = tmp_path / name / "s.sqlite"
    with open_store(file_url(file)) as store:
        store.add_traces([trace(1)])
        assert store.database.file == store_file(file_url(file)) == file
    assert list(tmp_path.iterdir()) == [file.parent]
    assert {path.name for path in file.parent.iterdir()} == {"s.sqlite"}
    config = GatewayConfig(endpoints=(), store_url=file_url(file))
    assert config.spool_in(tmp_path / "run") == file.parent / "spool"


def test_a_store_whose_path_was_taken_as_written_is_still_found(tmp_path):
    """SQLAlchemy before 2.1 did so with a URL of one's own that has escapes in it."""
    there = tmp_path / "a%20b" / "s.sqlite"
    with open_store(file_url(there)) as store:
        store.add_traces([trace(1)])
    own = f"sqlite:///{there}"
    with open_store(own) as store:
        assert store.database.file == there and store.count_traces() == 1
    spool = GatewayConfig(endpoints=(), store_url=own).spool_in(tmp_path / "run")
    assert spool == there.parent / "spool" and not (tmp_path / "a b").exists()
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "s.sqlite").touch()
    assert store_file(own) == tmp_path / "a b" / "s.sqlite", "what the URL says comes first"
