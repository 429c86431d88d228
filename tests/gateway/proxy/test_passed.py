"""Who may have what passed on, and what is told of the client on the way."""

import json
import socket

import httpx
import pytest
from tests.gateway.asking import metric, post
from tests.gateway.loopback import eventually, gateway
from tests.gateway.vendor import Vendor, incumbent

from freehold.gateway.limits.keys import hash_of, new_key
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits

pytestmark = pytest.mark.process

CLIENT = {"authorization": "Bearer sk-client", "openai-organization": "org-client", "cookie": "a=client"}


@pytest.fixture(scope="module")
def other():
    one = Vendor()
    yield one
    one.close()


@pytest.fixture(scope="module")
def refusing(vendor, tmp_path_factory):
    with gateway(vendor, tmp_path_factory.mktemp("refusing"), endpoints=(incumbent(vendor),)) as one:
        yield one


@pytest.fixture(scope="module")
def passing(vendor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passing")
    with gateway(vendor, folder, endpoints=(incumbent(vendor),), others_to="incumbent") as one:
        yield one


@pytest.fixture(scope="module")
def owned(vendor, other, tmp_path_factory):
    """The owner's key, keys of the gateway, and a second endpoint that others never go to."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FREEHOLD_TEST_OWNER", "sk-owner")
    keys = {
        name: ApiKey(name=name, hash=hash_of(key), **more)
        for (name, more), key in zip(KEYS.items(), SECRETS.values(), strict=True)
    }
    endpoints = (
        incumbent(vendor, api_key_env="FREEHOLD_TEST_OWNER"),
        Endpoint(name="other", engine="remote", base_url=other.base_url),
    )
    folder = tmp_path_factory.mktemp("owned")
    with gateway(
        vendor, folder, endpoints=endpoints, others_to="incumbent", api_keys=tuple(keys.values())
    ) as one:
        yield one
    patch.undo()


KEYS = {
    "free": {},
    "boss": {"role": "admin"},
    "looks": {"role": "read"},
    "scoped": {"models": ("gpt-4o",)},
    "routed": {"routes": ("r",)},
    "capped": {"limits": Limits(usd_per_day=1)},
    "tokens": {"limits": Limits(tokens_per_minute=100)},
    "slow": {"limits": Limits(requests_per_minute=2)},
}
SECRETS = {name: new_key() for name in KEYS}


def asked(running, name, method="GET", path="/v1/files", **more):
    header = more.pop("header", "authorization")
    value = f"Bearer {SECRETS[name]}" if header == "authorization" else SECRETS[name]
    with httpx.Client() as client:
        return client.request(method, running.base_url + path, headers={header: value, **CLIENT_REST}, **more)


CLIENT_REST = {"openai-organization": "org-client"}


def test_nothing_is_passed_on_unless_it_is_said_and_the_answer_says_how(vendor, refusing):
    before = len(vendor.seen)
    for path in ("/v1/files", "/v1/images/generations", "/v1/realtime"):
        status, _, body = post(refusing, b"{}", path=path, headers=CLIENT)
        assert status == 404 and '[incumbent] others = "pass"' in json.loads(body)["error"]["message"]
    assert post(refusing, {"model": "gpt-4o-mini", "messages": []}, headers=CLIENT)[0] == 404
    assert len(vendor.seen) == before
    assert metric(refusing, 'freehold_refusals_total{code="unknown_url",path="images"}') == 1


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_the_owners_key_is_sent_in_the_place_of_one_to_the_gateway(vendor, owned, header):
    assert asked(owned, "free", "POST", "/v1/moderations", header=header).status_code == 200
    headers = vendor.seen[-1][2]
    assert headers["authorization"] == "Bearer sk-owner" and headers["openai-organization"] == "org-client"
    assert not any("fh-" in value for value in headers.values())


@pytest.mark.parametrize(
    ("name", "method", "status", "code"),
    [
        ("looks", "GET", 403, "not_allowed"),
        ("scoped", "GET", 403, "not_passed_on"),
        ("routed", "POST", 403, "not_passed_on"),
        ("capped", "POST", 429, "not_countable"),
        ("tokens", "POST", 429, "not_countable"),
        ("capped", "GET", 200, None),
        ("free", "POST", 200, None),
    ],
)
def test_roles_scopes_and_limits_hold(vendor, owned, name, method, status, code):
    before = len(vendor.seen)
    answer = asked(owned, name, method, "/v1/moderations" if method == "POST" else "/v1/models/any")
    assert answer.status_code == status and (len(vendor.seen) > before) == (status == 200)
    assert code is None or answer.json()["error"]["code"] == code


def test_requests_of_a_key_are_counted(owned):
    assert [asked(owned, "slow", "POST", "/v1/moderations").status_code for _ in range(3)] == [200, 200, 429]


def test_what_clients_leave_with_the_vendor_is_for_a_key_that_may_see_it_all(vendor, owned):
    for method, path in (("GET", "/v1/files"), ("DELETE", "/v1/models/ft:x")):
        before = len(vendor.seen)
        assert asked(owned, "free", method, path).json()["error"]["code"] == "not_passed_on"
        assert len(vendor.seen) == before
        assert asked(owned, "boss", method, path).status_code == 200


def test_without_a_key_nothing_is_passed_on(vendor, owned):
    before = len(vendor.seen)
    assert post(owned, b"{}", path="/v1/files", headers=CLIENT)[0] == 401
    assert len(vendor.seen) == before


@pytest.mark.parametrize("key", ["free", "boss"])
@pytest.mark.parametrize(
    "path",
    ["/v1/organization/users", "/v1/files/..%2forganization", "/v1/files//x", "/v1/keys", "/v1/files/..;/x"],
)
def test_the_owners_account_stays_the_owners(vendor, owned, path, key):
    before = len(vendor.seen)
    assert asked(owned, key, path=path).status_code in (400, 403, 404)
    assert len(vendor.seen) == before


def test_a_client_that_leaves_ends_the_vendors_work(passing):
    before = metric(passing, "freehold_client_aborts_total")
    with socket.create_connection(("127.0.0.1", passing.config.port)) as client:
        client.sendall(
            b"POST /v1/uploads/huge HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 50000000\r\n\r\n"
            + bytes(1 << 20)
        )
    eventually(lambda: metric(passing, "freehold_client_aborts_total") == before + 1)
    assert metric(passing, "freehold_in_flight") == 0


def test_a_method_that_is_not_passed_on_is_told_which_are(passing):
    answer = httpx.request("OPTIONS", f"{passing.base_url}/v1/files")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PATCH, POST, PUT")
