"""The console's server: who may look, who may move traffic, and what is never shown."""

import http.client
import json
import urllib.parse
from datetime import UTC, datetime

import msgspec
import pytest

from freehold.console.app import Console
from freehold.store import open_store
from freehold.wire.hosts import HostPolicy
from freehold.workflows.shift import rollout_records

ROUTE = "support <b>intents</b>"
SECRET = "words of a customer"


def cookie_of(token, port):
    return Console(project=None, who="", token=token, hosts=HostPolicy(), port=port).cookie


class Caller:
    """A browser in a few lines: cookie, origin and host as one wants them."""

    def __init__(self, served):
        url, self.token = served
        self.host = urllib.parse.urlsplit(url).netloc

    def __call__(self, method, path, *, cookie=True, origin=True, host=None, body=None):
        connection = http.client.HTTPConnection(self.host, timeout=20)
        headers = {"Host": host or self.host}
        if cookie:
            port = int(self.host.rpartition(":")[2])
            headers["Cookie"] = "=".join(cookie_of(self.token, port))
        if origin:
            headers["Origin"] = f"http://{self.host}"
        connection.request(method, path, body=body, headers=headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply, text


@pytest.fixture
def call(served):
    return Caller(served)


def state(call, path="/api/screens/rollout"):
    reply, text = call("GET", path)
    assert reply.status == 200
    return json.loads(text)


def act(call, action, **more):
    return call(
        "POST",
        f"/api/routes/{urllib.parse.quote(ROUTE, safe='')}/{action}",
        body=json.dumps({"why": "too slow"}),
        **more,
    )


def test_the_address_with_the_token_becomes_a_cookie(call):
    reply, _ = call("GET", f"/?token={call.token}", cookie=False)
    assert (reply.status, reply.headers["Location"]) == (302, "/")
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    reply, text = call("GET", "/")
    assert reply.status == 200 and call.token not in text
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert "Python" not in reply.headers["Server"] and "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize(
    "path", ["/", "/api/screens/rollout", "/static/console.js", "/reports/report-1.html", "/?token=wrong"]
)
def test_nothing_without_the_token(call, path):
    reply, text = call("GET", path, cookie=False)
    assert reply.status == 403 and "token" in text


def test_another_host_name_is_refused(call):
    assert call("GET", "/api/screens/rollout", host="evil.example")[0].status == 421


def test_the_cookie_is_of_this_port_and_not_the_token(call):
    """Cookies go to every port of a host: that of one console opens no other, and tells no other the token."""
    port = int(call.host.rpartition(":")[2])
    reply, _ = call("GET", f"/?token={call.token}", cookie=False)
    assert reply.headers["Set-Cookie"].startswith(f"freehold_console_{port}=")
    assert call.token not in reply.headers["Set-Cookie"]
    name, value = cookie_of(call.token, port + 1)
    for given in (
        f"{name}={value}",
        f"freehold_console_{port}={value}",
        f"freehold_console_{port}={call.token}",
    ):
        connection = http.client.HTTPConnection(call.host, timeout=20)
        connection.request("GET", "/", headers={"Cookie": given})
        assert connection.getresponse().status == 403
        connection.close()


def test_state_tells_traffic_and_never_content(call):
    seen = state(call)
    (view,) = seen["routes"]
    assert seen["app"] == "support" and seen["incumbent"] == "gpt-4o"
    assert view["incumbent"]["requests"] == 60 and view["incumbent"]["errors"] == 1
    assert view["mirrored"]["requests"] == sum(bucket["mirrored"] for bucket in view["series"]) > 10
    assert view["mirrored"]["p50_ms"] == 50.0
    assert sum(bucket["incumbent"] for bucket in view["series"]) == 60
    assert view["status"]["rollout"]["state"] == "shadow" and view["status"]["missing"]
    assert view["history"][0]["who"] == "ada"
    assert SECRET not in json.dumps(seen)


def test_the_window_narrows_what_is_counted_and_nonsense_is_harmless(call):
    assert state(call, "/api/screens/rollout?window=60")["routes"][0]["incumbent"]["requests"] < 10
    assert state(call, "/api/screens/rollout?window=soon")["window_s"] == 900
    assert state(call, "/api/screens/rollout?window=1e99")["window_s"] == 7 * 86_400


def test_a_rollback_is_done_and_kept_with_who_and_why(call, project):
    reply, _ = act(call, "rollback")
    assert reply.status == 200
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
        last = store.route_history(ROUTE)[-1]
    assert (last.who, last.why) == ("ada (console)", "too slow")
    assert state(call)["routes"][0]["route"]["state"] == "rolled_back"


def test_the_reason_of_every_step_is_kept(call, project):
    assert act(call, "pause")[0].status == 200
    assert act(call, "advance")[0].status == 200  # a pause in mirroring ends without a test
    with open_store(project.store_url) as store:
        whys = [change.why for change in store.route_history(ROUTE)]
    assert whys[1:] == ["paused: too slow", "mirrored again: too slow"]


def test_a_route_that_was_moved_by_hand_is_rolled_back_as_well(call, project):
    with open_store(project.store_url) as store:
        by_hand = msgspec.structs.replace(store.routes()[0], name="by hand", model="m", state="promoted")
        store.save_route(by_hand, who="ada", at=datetime.now(UTC))
    path = f"/api/routes/{urllib.parse.quote('by hand')}/rollback"
    reply, _ = call("POST", path, body='{"why": "complaints"}')
    assert reply.status == 200
    with open_store(project.store_url) as store:
        assert store.route_history("by hand")[-1].why == "complaints"
        assert {route.name: route.state for route in store.routes()}["by hand"] == "rolled_back"


def test_a_step_the_tests_do_not_allow_is_refused_with_the_reason(call, project):
    reply, text = act(call, "advance")
    assert reply.status == 409 and "hours" in json.loads(text)["error"]
    with open_store(project.store_url) as store:
        assert rollout_records.find(store, ROUTE).stage == -1


def test_changes_come_from_the_page_itself_only(call, project):
    assert act(call, "rollback", origin=False)[0].status == 403
    assert act(call, "rollback", cookie=False)[0].status == 403
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "shadow"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/routes/x/explode", "{}", 404),
        ("/api/routes/nobody/rollback", "{}", 409),
        (f"/api/routes/{urllib.parse.quote(ROUTE, safe='')}/rollback", "not json", 400),
        (f"/api/routes/{urllib.parse.quote(ROUTE, safe='')}/rollback", '{"why": 3}', 400),
        (f"/api/routes/{urllib.parse.quote(ROUTE, safe='')}/rollback", "x" * 50_000, 413),
    ],
)
def test_bad_requests_change_nothing(call, project, path, body, status):
    reply, text = call("POST", path, body=body)
    assert reply.status == status and "Traceback" not in text and json.loads(text)["error"]
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "shadow"


def test_reports_are_served_and_nothing_else_of_the_folder(call):
    reply, text = call("GET", "/reports/report-1.html")
    assert reply.status == 200 and "the report" in text
    for name in ("..%2Fsecret.html", "%2e%2e/secret.html", "nothing.html", "..%2F..%2Ffreehold.toml"):
        assert call("GET", f"/reports/{name}")[0].status in (404, 403)
    assert call("GET", "/static/page.html")[0].status == 404
    assert call("GET", "/static/..%2Fapp.py")[0].status == 404
