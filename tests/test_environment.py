"""Child processes inherit what they need to run, and no secret that is not for them."""

import pytest

from freehold.environment import PROXIES, inherited


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "VLLM_API_KEY",
        "LLAMA_API_KEY",
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
