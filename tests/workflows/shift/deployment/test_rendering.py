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


def test_systemd_starts_one_gateway(project):
    with pytest.raises(UsageError, match="systemd starts one gateway"):
        render(project(), "systemd", listening=Listening(), user="ada", upstreams=["a:80"])
