import pytest

from freehold.engines.echo.options import EchoOptions
from freehold.engines.options import read
from freehold.errors import UsageError


def test_options_become_a_record():
    assert read({"delay_ms": 5}, EchoOptions, "echo") == EchoOptions(delay_ms=5)


@pytest.mark.parametrize("options", [{"delay_mss": 5}, {"delay_ms": "soon"}])
def test_a_wrong_name_or_type_names_engine_and_option(options):
    with pytest.raises(UsageError, match=r"engine echo: .*delay_ms"):
        read(options, EchoOptions, "echo")
