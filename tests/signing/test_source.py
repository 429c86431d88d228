"""What is told of a source that gave no credentials."""

import contextlib
import threading

import pytest
from tests.gateway.loopback import eventually
from tests.signing.vendors import Aws, Azure, Google

from freehold.signing import source
from freehold.signing.aws import AwsSource
from freehold.signing.azure import AzureSource
from freehold.signing.google import GoogleSource


class Sts(Aws):
    """AWS's service that gives a role for a token in a file, as Kubernetes has them."""

    def write_account(self, folder):
        (folder / "token").write_text("token")
        return {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/gateway",
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_REGION": self.region,
        }

    def is_source(self, seen):
        return True

    def issue(self, seen):
        return {}


@pytest.mark.parametrize(
    ("kind", "made"),
    [(Sts, lambda: AwsSource("http://h")), (Google, GoogleSource), (Azure, AzureSource)],
)
def test_an_answer_that_does_not_come_is_given_up(kind, made, upstream, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "ANSWERS_WITHIN_S", 0.3)
    cloud = kind(upstream)
    cloud.hangs_s = 600.0
    account = cloud.environment() if kind is Azure else cloud.write_account(tmp_path)
    for name, value in account.items():
        monkeypatch.setenv(name, value)

    def fetch():
        with contextlib.suppress(Exception):
            made().fetch()

    fetching = threading.Thread(target=fetch, daemon=True)
    fetching.start()
    # Given up means that it is asked once more, or not.
    eventually(lambda: cloud.number > 1 or (cloud.number and not fetching.is_alive()))
    cloud.hangs_s = 0.0
    fetching.join(30)
    assert not fetching.is_alive()
