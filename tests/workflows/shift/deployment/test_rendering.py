"""What `--render` refuses, whichever file is asked for."""

import pytest

from freehold.errors import UsageError
from freehold.workflows.shift.deployment.rendering import render
from freehold.workflows.shift.up import Listening


@pytest.mark.parametrize(
    "upstream", ["", "host", "host:0", "host:99999", "host:80 { }", "a;b:80", "http://a:80"]
)
def test_addresses_that_are_none(project, upstream):
    with pytest.raises(UsageError, match="is not an address"):
        render(project(), "nginx", listening=Listening(), upstreams=[upstream])


@pytest.mark.parametrize("target", ["nginx", "caddy"])
def test_a_host_to_listen_on_that_is_none(project, target):
    with pytest.raises(UsageError, match="is not an address"):
        render(project(), target, listening=Listening(host="a; } server {"))
    assert "10.0.0.5:8420" in render(project(), target, listening=Listening(host="10.0.0.5"))


def test_systemd_starts_one_gateway(project):
    with pytest.raises(UsageError, match="systemd starts one gateway"):
        render(project(), "systemd", listening=Listening(), user="ada", upstreams=["a:80"])
