"""A file that changes while the gateway runs: what is told, what is taken over, what is left."""

import os
from datetime import UTC, datetime

import pytest

from freehold.errors import StorageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.meters import leave_word, read_all
from freehold.store import audit, open_store
from freehold.types.config import ProjectConfig, ServeConfig
from freehold.types.route import Route, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift import up
from freehold.workflows.shift.following import KEYS, ConfigFollower

HEAD = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
CAPTURE = '[capture]\nmode = "patterns"\n'
OTHER = '[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:2"\n'


class Following:
    def __init__(self, folder):
        self.path = folder / "freehold.toml"
        self.path.write_text(HEAD + CAPTURE)
        self.told = []
        self.ticks = 0
        project = open_project(self.path)

        def build(changed):
            return up._gateway_config(changed, up.Listening(port=8420), None)

        self.start = build(project)
        options = {"[serve] port": "--port"}
        self.follower = ConfigFollower(
            project, self.start, build=build, options=options, say=self.told.append
        )
        self.url = project.store_url

    def save(self, text):
        self.path.write_text(text)
        self.ticks += 1
        os.utime(self.path, ns=(self.ticks * 10**9, self.ticks * 10**9))
        assert self.follower.poll() is None  # it may still be written
        return self.follower.poll()


@pytest.fixture
def following(tmp_path):
    return Following(tmp_path)


def test_capture_off_holds_at_once_and_is_on_the_record(following):
    assert following.follower.poll() is None
    taken = following.save(HEAD + '[capture]\nmode = "off"\n')
    assert taken.capture == "off"
    assert following.told == ["freehold.toml was changed; in force: [capture] mode"]
    with open_store(following.url) as store:
        (entry,) = [one for one in audit.entries(store.database) if one.action == "gateway.config"]
    assert entry.detail["capture"] == "off"
    # What was promised since the start is not taken back while it runs.
    assert following.save(HEAD + '[capture]\nmode = "raw"\n') is None
    assert "AT THE NEXT START ONLY: [capture] mode" in following.told[-1]


def test_endpoints_come_and_stay_while_a_route_goes_to_them(following):
    taken = following.save(HEAD + CAPTURE + OTHER)
    assert [one.name for one in taken.endpoints] == ["incumbent", "house"]
    with open_store(following.url) as store:
        target = Target(endpoint="house")
        store.save_route(Route(name="r", model="m", incumbent=target), who="a", at=datetime.now(UTC), why="")
    assert following.save(HEAD + CAPTURE) is None
    assert following.told[-1] == "freehold.toml: the endpoint house stays, the route r goes to it"
    with open_store(following.url) as store:
        store.delete_route("r", who="a", at=datetime.now(UTC), why="")
    assert [one.name for one in following.save(HEAD + CAPTURE + "\n").endpoints] == ["incumbent"]


@pytest.mark.parametrize("broken", ["[captur]\n", "[capture", HEAD + OTHER + OTHER])
def test_a_broken_file_or_one_saved_half_leaves_what_runs(following, broken):
    assert following.save(broken) is None
    assert following.told[-1].endswith("; what ran before goes on")
    assert following.save(HEAD + '[capture]\nmode = "off"\n').capture == "off"


@pytest.mark.process
def test_a_file_that_is_still_written_is_in_force_when_it_is_whole(following):
    """Its half reads well: the endpoints that come behind it would be taken from the clients that ask them."""
    assert [one.name for one in following.save(HEAD + CAPTURE + OTHER).endpoints] == ["incumbent", "house"]
    told = len(following.told)
    text = HEAD + '[capture]\nmode = "off"\n' + OTHER
    for end in range(len(HEAD), len(text)):
        following.path.write_text(text[:end])
        os.utime(following.path, ns=(end * 10**9, end * 10**9))
        assert following.follower.poll() is None
    assert len(following.told) == told
    taken = following.save(text)
    assert [one.name for one in taken.endpoints] == ["incumbent", "house"] and taken.capture == "off"


def test_what_only_a_start_can_do_is_said(following):
    text = HEAD + CAPTURE + "[serve]\nport = 9999\ncontext_tokens = 512\n"
    assert following.save(text) is None
    assert "[serve] context_tokens" in following.told[-1]
    assert "OVERRULED BY THE COMMAND LINE: [serve] port (by --port)" in following.told[-1]


def test_a_store_that_is_busy_is_asked_again(following, monkeypatch):
    broken = iter([StorageError("the store is busy")])

    def opened(url):
        for error in broken:
            raise error
        return open_store(url)

    monkeypatch.setattr("freehold.workflows.shift.following.open_store", opened)
    assert following.save(HEAD + '[capture]\nmode = "off"\n') is None
    assert following.told[-1] == "freehold.toml: the store is busy; what ran before goes on"
    assert following.follower.poll().capture == "off"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[app]\n" * 100_000, b"\0" * 1000])
def test_what_is_no_file_of_ours_leaves_what_runs(following, data):
    following.path.write_bytes(data)
    following.follower.poll()
    assert following.follower.poll() is None
    assert following.told[-1].endswith("; what ran before goes on")


def test_a_key_that_the_processes_were_not_given_waits(following, monkeypatch):
    monkeypatch.setenv("HOUSE_KEY", "sk-1")
    following.save(HEAD + CAPTURE + OTHER + 'api_key_env = "HOUSE_KEY"\n')
    assert "AT THE NEXT START ONLY: the key in HOUSE_KEY" in following.told[-1]


def test_how_long_answers_may_take_to_finish_holds_at_once(following):
    assert following.save(HEAD + CAPTURE + "[serve]\ndrain_s = 5\n").drain_s == 5.0
    assert following.told[-1] == "freehold.toml was changed; in force: [serve] drain_s"
    assert following.save(HEAD + CAPTURE).drain_s == 30.0


def test_credentials_of_a_cloud_that_the_processes_were_not_told_of_wait(following, monkeypatch):
    text = HEAD + CAPTURE + OTHER + 'credentials = "google"\n'
    taken = following.save(text)
    assert [one.credentials for one in taken.endpoints] == [None, "google"]
    assert "AT THE NEXT START ONLY: credentials of Google Cloud" in following.told[-1]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert following.save(text.replace("google", "azure")) is None
    assert "needs the extra 'azure'" in following.told[-1]


def test_every_field_that_people_can_set_has_a_name():
    from freehold.gateway.config import TAKEN_OVER

    assert set(KEYS) <= set(GatewayConfig.__struct_fields__)
    unnamed = TAKEN_OVER - set(KEYS)
    assert unnamed == {"without_key", "default_model", "attributions"}


def test_every_table_of_the_file_is_followed_read_anew_or_waits():
    followed = {"incumbent", "endpoints", "capture", "use", "serve"}
    by_observer = {"routes", "watch", "rollout"}
    by_commands = set(ProjectConfig.__struct_fields__) - followed - by_observer
    # A table that is new must be put into one of these: a key that changes nothing must say so.
    assert by_commands == {
        "app", "candidates", "cluster", "curate", "data", "defer", "selection", "task", "train",
    }  # fmt: skip
    assert ServeConfig.__struct_fields__


@pytest.fixture
def run_folder(following, tmp_path):
    """The run folder of a gateway of the project, as one leaves word of it."""
    folder = tmp_path / "run"
    folder.mkdir()
    leave_word(open_project(following.path).state.resolve() / "spool", folder)
    return folder


def test_metrics_say_while_the_file_is_not_in_force(following, run_folder):
    def stale():
        return [snapshot.gauges["freehold_config_stale"] for snapshot in read_all(run_folder)]

    following.save(HEAD + CAPTURE + OTHER)
    assert stale() == [0]
    following.save("not toml")
    assert stale() == [1]
    following.save(HEAD + CAPTURE)
    assert stale() == [0]
    following.save(HEAD + CAPTURE + '[serve]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    assert stale() == [1], "it waits for the next start"
