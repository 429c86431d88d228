import pytest

from freehold.errors import ConfigError
from freehold.settings import load


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FREEHOLD_PROT", "1", "unknown setting FREEHOLD_PROT"),
        ("FREEHOLD_PORT", "ninety", "expected a whole number"),
        ("FREEHOLD_OFFLINE", "maybe", "expected true or false"),
    ],
)
def test_mistakes_are_noticed(variable, value, message):
    with pytest.raises(ConfigError, match=message):
        load({variable: value})


def test_values_are_shown_as_they_would_be_written():
    from click.testing import CliRunner

    from freehold.cli.main import cli

    shown = CliRunner(env={"FREEHOLD_OFFLINE": "yes"}).invoke(cli, ["settings"]).stdout
    assert "FREEHOLD_OFFLINE=true  (environment)" in shown
