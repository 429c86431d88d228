"""Child processes inherit what they need to run, and no secret that is not for them."""

import pytest

from freehold.environment import PROXIES, inherited
from freehold.errors import ConfigError
from freehold.settings import load


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "FREEHOLD_DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_secrets_are_not(name):
    assert inherited({name: "x"}) == {}


def test_what_is_named_is_passed_on_whatever_it_is():
    has = {
        "PATH": "/bin",
        "SHOP_KEY": "k",
        "OTHER_KEY": "o",
        "PGPASSWORD": "p",
        "PGHOST": "h",
        "HTTPS_PROXY": "x",
    }
    assert inherited(has, also=["SHOP_KEY"]) == {"PATH": "/bin", "SHOP_KEY": "k"}
    assert inherited(has, also=(name for name in ["PG*"])) == {
        "PATH": "/bin",
        "PGPASSWORD": "p",
        "PGHOST": "h",
    }
    assert inherited(has, also=PROXIES) == {"PATH": "/bin", "HTTPS_PROXY": "x"}


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
