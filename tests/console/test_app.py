"""The console's server: who may look, who may move traffic, and what is never shown."""

import http.client
import json
import urllib.parse
from datetime import UTC, datetime

import pytest
from tests.console.conftest import ROUTE, SECRET

from freehold.store import audit, open_store
from freehold.types.route import Limits
from freehold.workflows.shift import keys, routes


def state(call, path="/api/screens/rollout"):
    reply, text = call("GET", path)
    assert reply.status == 200
    return json.loads(text)


def act(call, action, **more):
    body = json.dumps({"route": ROUTE, "why": "too slow"})
    return call("POST", f"/api/actions/rollout.{action}", body=body, **more)


def test_the_page_itself_holds_nothing_and_sets_no_cookie(call):
    reply, text = call("GET", "/", token=False)
    assert reply.status == 200 and call.token not in text and "support" not in text
    assert reply.headers["Set-Cookie"] is None
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert "Python" not in reply.headers["Server"] and "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("path", ["/api/screens/rollout", "/api/visitor", "/reports/report-1.html"])
@pytest.mark.parametrize("token", [False, "wrong", ""])
def test_nothing_without_the_token(call, path, token):
    reply, text = call("GET", path, token=token)
    assert reply.status == 401 and "error" in json.loads(text)
    assert call("GET", f"{path}?token={call.token}", token=False)[0].status == 401, "not in an address"


def test_what_a_browser_sends_to_other_ports_of_the_host_opens_nothing(call):
    """Cookies ignore ports: what another service of this machine could take of a browser must be of no use here."""
    connection = http.client.HTTPConnection(call.host, timeout=20)
    port = call.host.rpartition(":")[2]
    for name in ("freehold_console", f"freehold_console_{port}", "token", "Authorization"):
        connection.request("GET", "/api/screens/rollout", headers={"Cookie": f"{name}={call.token}"})
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 401
    connection.close()


def with_keys(project, **roles):
    with open_store(project.store_url) as store:
        return {
            name: keys.add(
                store, name, limits=Limits(), scope=keys.KeyScope(role=role), who="ada", at=datetime.now(UTC)
            ).secret
            for name, role in roles.items()
        }


def login(call, key):
    return call("POST", "/api/login", token=False, body=json.dumps({"key": key}))


def test_a_key_opens_the_console_with_its_role(call, project):
    secrets = with_keys(project, app="use", eye="read", hand="operate", boss="admin")
    for key in ("fh-wrong", "", secrets["app"]):
        reply, text = login(call, key)
        assert reply.status == 403 and "opens no console" in json.loads(text)["error"]
    tokens = {}
    for name, role in (("eye", "read"), ("hand", "operate"), ("boss", "admin")):
        told = json.loads(login(call, secrets[name])[1])
        assert (told["who"], told["role"]) == (name, role) and told["token"] != secrets[name]
        tokens[name] = told["token"]
        assert call("GET", "/api/screens/rollout", token=told["token"])[0].status == 200
    for action in ("advance", "pause", "promote", "rollback"):
        reply, text = act(call, action, token=tokens["eye"])
        assert reply.status == 403 and "may look" in json.loads(text)["error"]
    seen = {name: json.loads(call("GET", "/api/visitor", token=token)[1]) for name, token in tokens.items()}
    assert seen["eye"]["actions"] == [] and "rollout.rollback" in seen["hand"]["actions"]
    assert [name for name in seen if "content" in seen[name]["may"]] == ["boss"]
    assert "record" not in {screen["name"] for screen in seen["hand"]["screens"]}
    reply, text = call("GET", "/api/screens/record?id=x", token=tokens["hand"])
    assert reply.status == 403 and "customers write" in json.loads(text)["error"]
    assert act(call, "pause", token=tokens["hand"])[0].status == 200
    with open_store(project.store_url) as store:
        entry = [one for one in audit.entries(store.database) if one.action == "rollout.paused"][-1]
        assert (entry.who, entry.source, entry.why) == ("hand", "console, 127.0.0.1", "paused: too slow")
        keys.revoke(store, "hand", at=datetime.now(UTC))
    assert act(call, "rollback", token=tokens["hand"])[0].status == 401, "at once, not when the session ends"
    assert call("POST", "/api/logout", token=tokens["eye"])[0].status == 200
    assert call("GET", "/api/visitor", token=tokens["eye"])[0].status == 401


def test_a_search_for_words_needs_the_right_to_read_them(call, project):
    """Page by page it would say, word by word, what stands in the requests of which user."""
    secrets = with_keys(project, eye="read", boss="admin")
    eye, boss = (json.loads(login(call, secrets[name])[1])["token"] for name in ("eye", "boss"))
    for text in ("customer", "cust*", '"words of"'):
        path = f"/api/screens/traffic?window_s=0&text={urllib.parse.quote(text)}"
        reply, said = call("GET", path, token=boss)
        assert reply.status == 200 and json.loads(said)["page"]["traces"]
        reply, said = call("GET", path, token=eye)
        assert reply.status == 403 and "customers write" in json.loads(said)["error"]
    reply, said = call("GET", "/api/screens/traffic?window_s=0&status=5xx", token=eye)
    assert reply.status == 200 and len(json.loads(said)["page"]["traces"]) == 1


def test_a_login_comes_from_the_page_itself(call, project):
    body = json.dumps({"key": with_keys(project, eye="read")["eye"]})
    assert call("POST", "/api/login", token=False, origin=False, body=body)[0].status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{}", 200),
        ("localhost:{}", 200),
        ("127.0.0.1:1", 421),
        ("localhost", 421),
        ("evil.example", 421),
    ],
)
def test_it_answers_under_its_own_names_only(call, host, status):
    named = host.format(call.host.rpartition(":")[2])
    assert call("GET", "/api/screens/rollout", host=named)[0].status == status


def test_state_tells_traffic_and_never_content(call):
    seen = state(call)
    (view,) = seen["routes"]
    traffic = view["traffic"]
    assert traffic["incumbent"]["requests"] == 60 and traffic["incumbent"]["errors"] == 1
    assert traffic["mirrored"]["requests"] == sum(one["mirrored"] for one in traffic["buckets"]) > 10
    assert sum(one["incumbent"] for one in traffic["buckets"]) == 60
    assert view["status"]["rollout"]["state"] == "shadow" and view["status"]["missing"]
    assert view["history"][0]["who"] == "ada"
    first = state(call, "/api/screens/overview")
    assert first["journey"]["app"] == "support" and first["journey"]["incumbent"] == "gpt-4o"
    assert SECRET not in json.dumps([seen, first])


def test_the_window_narrows_what_is_counted_and_a_wrong_parameter_is_named(call):
    assert (
        state(call, "/api/screens/rollout?window_s=60")["routes"][0]["traffic"]["incumbent"]["requests"] < 20
    )
    for given in ("window_s=soon", "window_s=1e99", "window_s=nan", "window_s=-1", "color=red"):
        reply, text = call("GET", f"/api/screens/rollout?{given}")
        assert reply.status == 400 and given.partition("=")[0] in json.loads(text)["error"]
    assert call("GET", "/api/screens/nothing")[0].status == 404


def test_a_rollback_is_done_and_kept_with_who_and_why(call, project):
    reply, _ = act(call, "rollback")
    assert reply.status == 200
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
        last = store.route_history(ROUTE)[-1]
    assert (last.who, last.why) == ("ada (console)", "too slow")
    assert state(call)["routes"][0]["route"]["state"] == "rolled_back"


def test_a_step_the_tests_do_not_allow_is_refused_with_the_reason(call, project):
    reply, text = act(call, "advance")
    assert reply.status == 409 and "hours" in json.loads(text)["error"]
    with open_store(project.store_url) as store:
        assert routes.find_rollout(store, ROUTE).stage == -1


def test_changes_come_from_the_page_itself_only(call, project):
    assert act(call, "rollback", origin=False)[0].status == 403
    assert act(call, "rollback", token=False)[0].status == 401
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "shadow"


def test_reports_are_served_and_nothing_else_of_the_folder(call):
    ticket = json.loads(call("POST", "/api/reports/report-1.html")[1])["ticket"]
    assert call("GET", f"/reports/other.html?ticket={ticket}", token=False)[0].status == 401
    ticket = json.loads(call("POST", "/api/reports/report-1.html")[1])["ticket"]
    reply, text = call("GET", f"/reports/report-1.html?ticket={ticket}", token=False)
    assert reply.status == 200 and "the report" in text
    assert call("GET", f"/reports/report-1.html?ticket={ticket}", token=False)[0].status == 401, "good once"
    for name in ("..%2Fsecret.html", "%2e%2e/secret.html", "nothing.html", "..%2F..%2Ffreehold.toml"):
        assert call("POST", f"/api/reports/{name}")[0].status in (404, 403)
        assert call("GET", f"/reports/{name}")[0].status in (404, 403, 401)
    assert call("GET", "/static/page.html")[0].status == 404
    assert call("GET", "/static/..%2Fapp.py")[0].status == 404


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("explode", "{}", 404),
        ("rollout.rollback", '{"route": "unknown"}', 409),
        ("rollout.rollback", "{}", 400),
        ("rollout.rollback", '{"route": ""}', 400),
        ("rollout.rollback", '{"route": "x", "force": true}', 400),
        ("rollout.rollback", "not json", 400),
        ("rollout.rollback", json.dumps({"route": ROUTE, "why": 3}), 400),
        ("rollout.rollback", json.dumps({"route": ROUTE, "why": "y" * 501}), 400),
        ("rollout.rollback", "x" * 50_000, 413),
    ],
)
def test_bad_requests_change_nothing(call, project, action, body, status):
    reply, text = call("POST", f"/api/actions/{action}", body=body)
    assert reply.status == status and "Traceback" not in text and json.loads(text)["error"]
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "shadow"
