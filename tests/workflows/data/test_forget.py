"""One person leaves a project: afterwards a search through every file finds nothing, and all others are still there."""

import contextlib
import gzip
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard
from tests.gateway.asking import post
from tests.gateway.loopback import FakeUpstream, eventually
from tests.store.examples import NOON, Note, trace

from freehold.datasets import building
from freehold.errors import StorageError, UsageError
from freehold.gateway import serve
from freehold.gateway.capture.spool import TRACE, Spool, digest_of, framed, in_flight
from freehold.gateway.config import GatewayConfig
from freehold.preparing.index import is_there, write_index
from freehold.processes import claim_port
from freehold.progress import Silent
from freehold.store import erase, open_store, rollouts
from freehold.store.audit import entries
from freehold.store.check import check
from freehold.store.rollouts import WindowRow
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset
from freehold.types.endpoint import ANY_SERVED, Endpoint, Example
from freehold.types.generation import FOLDER as GENERATIONS
from freehold.types.trace import Trace
from freehold.types.training import Adapter
from freehold.workflows.data import dataset
from freehold.workflows.data.forget import ForgetReceipt, Whom, forget, keep_receipt
from freehold.workflows.data.store_care import make_backup
from freehold.workflows.project import open_project
from freehold.workflows.prove.looks import Looks, look_at

AT = datetime(2026, 3, 5, tzinfo=UTC)
SECRET = "My grandmother Wilhelmine lives in Sonnenallee 12"
NEEDLES = (b"user-4711", b"ada-trace", b"Wilhelmine", b"conv-ada", b"Dear Ada, it is on its way")


def of_ada(number, **changes):
    text = f"{SECRET}, where is parcel {number}?"
    values = {
        "id": f"ada-trace-{number}",
        "conversation_id": "conv-ada",
        "request": {
            "messages": [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": text}]
        },
        "response": {
            "choices": [{"message": {"role": "assistant", "content": "Dear Ada, it is on its way"}}]
        },
        **changes,
    }
    return trace(number, **values)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "state"))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname="a"\n[curate]\npersonal_data="off"\nnear_duplicates=0\n'
    )
    (tmp_path / ".freehold").mkdir()
    project = open_project()
    with open_store(project.store_url) as store:
        with store.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        store.add_traces(trace(number, id=f"bob-trace-{number}", user="bob") for number in range(60))
        store.add_traces(
            [
                of_ada(1, user="user-4711"),
                of_ada(2, metadata={"user_id": "user-4711"}),
                of_ada(3, request={**of_ada(3).request, "user": "user-4711"}),
                of_ada(4, user="user-4711", parent_id="ada-trace-1"),
            ]
        )
        # Written again, so that the former body is left in a free page.
        store.replace_trace(
            msgspec.structs.replace(store.get_trace("ada-trace-1"), gold="lost, dear user-4711")
        )
        windows = [WindowRow("pair", "u", 1, True, b'{"pairs":["ada-trace-4"]}')]
        rollouts.learn(store.database, "r", known_version=0, state=b"{}", windows=windows)
        store.put(Note(id="ada", text=f"seen: {SECRET}, where is parcel 1?"))
        store.put(Note(id="bob", text="seen: bob-trace-1"))
    dataset.build(project)
    make_backup(project, None, who="ada", at=AT, progress=Silent())
    state = project.state
    for name in ("evaluations", "labels", "reports", "rejects", "engines", "exports"):
        (state / name).mkdir()
    with open_store(project.store_url) as store:
        everything = list(store.traces(complete_only=False))
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in everything)
    for path in ("evaluations/results.jsonl", "labels/pairs.jsonl", "rejects/log.rejects.jsonl"):
        (state / path).write_bytes(lines)
    (state / "evaluations" / "answers.jsonl").write_text(
        '{"key":"1","answer":{"text":"Dear Ada, it is on its way"}}\n'
    )
    (state / "reports" / "report.html").write_text(f"<p>{SECRET}, where is parcel 2?</p>")
    (state / "reports" / "other.html").write_text("<p>all is well</p>")
    (state / "engines" / "gateway.log").write_text('{"user": "user-4711", "status": 200}\n{"user": "bob"}\n')
    (state / "exports" / "all.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / ".freehold" / "all.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines))
    return project


def hits(*folders):
    """Files in which a person is found: as they lie there, and unpacked, with every body of a store."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".gz":
            data += gzip.decompress(data)
        if path.suffix == ".zst":
            data += zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if data.startswith(b"SQLite"):
            with open_store(f"sqlite:///{path}") as store:
                data += b"".join(msgspec.json.encode(one) for one in store.traces(complete_only=False))
        # Compressed bodies in free pages: a frame of zstandard may begin anywhere.
        data += b"".join(frames(data))
        found.extend(f"{path.name}: {needle!r}" for needle in NEEDLES if needle in data)
    return found


def frames(data):
    at = data.find(b"\x28\xb5\x2f\xfd")
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + 20_000])
        at = data.find(b"\x28\xb5\x2f\xfd", at + 4)


def folders(project):
    return project.state, project.root / ".freehold"


def run(project, whom, **changes):
    values = {"who": "op", "at": AT, "dry_run": False, "progress": Silent(), **changes}
    return forget(project, whom, **values)


def test_after_a_user_is_forgotten_no_file_finds_them(project):
    making = project.state / GENERATIONS
    making.mkdir(parents=True)
    (making / "steps.sqlite").write_text("what user-4711 asked is learned from")
    before = hits(*folders(project))
    assert len({name.partition(":")[0] for name in before}) >= 9
    planned = run(project, Whom(user="user-4711"), dry_run=True)
    assert hits(*folders(project)) == before
    made = run(project, Whom(user="user-4711"))
    assert hits(*folders(project)) == [] and not making.exists()
    assert made.traces == planned.traces == 4 and made.records["note"] == 1
    assert made.records["rollout_windows"] == 1
    assert len(made.datasets) == 1 and "freehold dataset build" in made.notes[0]
    with open_store(project.store_url) as store:
        assert store.count_traces() == 60 and [one.id for one in store.records(Note)] == ["bob"]
        assert store.get(ForgetReceipt, made.id) == made
    state = project.state
    assert (state / "evaluations" / "results.jsonl").read_bytes().count(b"bob-trace") >= 60
    assert (state / "reports" / "other.html").exists() and '"bob"' in (
        state / "engines" / "gateway.log"
    ).read_text()
    assert check(project.store_url).healthy
    assert dataset.build(project).made_from


def test_what_people_wrote_to_a_persons_items_goes_with_them(project):
    with open_store(project.store_url) as store:
        made = dataset.find_dataset(store, None)
    samples = [one for name in ("train", "validation", "held_out") for one in building.samples(made, name)]
    of = {name: next(one for one in samples if one.trace_id.startswith(name)) for name in ("ada", "bob")}
    with open_store(project.store_url) as store:
        for name, one in of.items():
            store.put(Note(id=f"of-{name}", text=f"to sample {one.id}: it moves her to Sonnenallee"))
    receipt = forget(project, Whom(user="user-4711"), who="eve", at=AT, dry_run=False, progress=Silent())
    assert receipt.records["note"] == 2
    with open_store(project.store_url) as store:
        assert [one.id for one in store.records(Note)] == ["bob", "of-bob"]


def test_what_has_learned_from_a_person_is_named_with_the_way_out(project):
    with open_store(project.store_url) as store:
        held = store.latest(Dataset)
        config = FinetuneConfig()
        store.put(
            Adapter(
                id="adapter-of-ada-and-bob", name="a", path="x", base_model="m", base_sha256="0", dataset_id=held.id,
                config=config, template_sha256="0", seed=0, steps=1, train_tokens=1, train_seconds=1.0,
                final_loss=1.0, peak_memory_bytes=None, files={}, versions={}, made_from=(held.id,),
            )
        )  # fmt: skip
    made = run(project, Whom(user="user-4711"))
    assert made.trained == ("adapter-of-ada-and-bob",)
    assert any("cannot unlearn: freehold train" in note for note in made.notes)


def test_examples_that_hold_a_person_go_whole_and_others_stay(project):
    """They stand before every question a model is asked; what was made of them (vectors) mentions nobody."""
    root = project.state / "examples"
    of_bob = write_index([Example(id="b", question="my parcel is late, says Bob", answer="late")], root)
    held = write_index([Example(id="a", question=f"{SECRET}, where is parcel 1?", answer="late")], root)
    planned = run(project, Whom(user="user-4711"), dry_run=True)
    assert Path(held.path).exists()
    made = run(project, Whom(user="user-4711"))
    assert made.files["examples"] == planned.files["examples"] == 1
    assert not Path(held.path).exists() and is_there(of_bob)
    assert any("until freehold migrate makes others" in note for note in made.notes)
    assert hits(*folders(project)) == []


def test_a_second_time_nothing_is_left_to_forget(project):
    run(project, Whom(user="user-4711"))
    with pytest.raises(UsageError, match="nothing here is of that user"):
        run(project, Whom(user="user-4711"))


def test_a_deletion_that_could_not_overwrite_all_is_finished_by_the_next_run(project, monkeypatch):
    """It found no rows any more, and said so; their bytes stayed in SQLite's log."""
    monkeypatch.setattr(erase, "_CHECKPOINT_WITHIN_S", 0.1)
    file = project.state / "freehold.sqlite"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM trace_blocks").fetchone()
        with pytest.raises(StorageError, match="a reader keeps their bytes"):
            run(project, Whom(user="user-4711"))
    receipt = run(project, Whom(user="user-4711"))
    assert receipt.traces == 0 and any("had left bytes" in note for note in receipt.notes)
    with pytest.raises(UsageError, match="nothing here is of that user"):
        run(project, Whom(user="user-4711"))


def test_the_store_is_not_taken_for_a_copy_of_itself(project):
    """A restore that was killed leaves a second name of its file; opened by two, SQLite would damage it."""
    other = project.state / "backups" / "replaced.sqlite"
    os.link(project.state / "freehold.sqlite", other)
    receipt = run(project, Whom(user="user-4711"))
    assert receipt.traces == 4 and receipt.files["backups"] == 1 and other.exists()
    assert not other.with_name(f"{other.name}-wal").exists() and check(project.store_url).healthy


def test_one_trace_and_one_conversation(project):
    assert run(project, Whom(trace="bob-trace-7"), dry_run=True).traces == 1
    assert run(project, Whom(conversation="conv-ada")).traces == 4
    with open_store(project.store_url) as store:
        assert {one.user for one in store.traces()} == {"bob"}


def test_all_that_is_older(project):
    assert run(project, Whom(before=NOON + timedelta(seconds=30))).traces == 34
    with open_store(project.store_url) as store:
        assert store.count_traces() == 30


@pytest.mark.process
def test_a_store_in_use_by_another_process_is_cleaned_as_well(project):
    script = """
        import sys, time
        from freehold.types.trace import Trace
        from freehold.store import open_store
        from datetime import datetime, UTC
        store = open_store(sys.argv[1])
        print("on", flush=True)
        for n in range(100_000):
            now = datetime.now(UTC)
            store.add_traces([Trace(id=f"l{n}", at=now, source="x", model="m", request={}, response=None)])
            time.sleep(0.01)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), project.store_url],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")},
    ) as process:
        assert process.stdout.readline()
        try:
            run(project, Whom(user="user-4711"))
            assert process.poll() is None
            assert hits(*folders(project)) == []
        finally:
            process.kill()


def test_a_receipt_says_nothing_of_the_person(project):
    made = run(project, Whom(user="user-4711"))
    text = msgspec.json.encode(made)
    assert not any(needle in text for needle in NEEDLES) and made.by == "user" and made.who == "op"
    with open_store(project.store_url) as store:
        keep_receipt(store, msgspec.structs.replace(made, id="again"))
        assert len(store.records(ForgetReceipt)) == 2
        noted = [entry for entry in entries(store.database) if entry.action == "forget"]
        assert [entry.subject for entry in noted] == [made.id, "again"]


def test_a_user_is_not_another_whose_name_begins_alike():
    other = Trace(id="x", at=AT, source="x", model="m", request={}, response=None, user="user-47110")
    assert not Whom(user="user-4711").means(other)


@contextlib.contextmanager
def serving(project):
    """A gateway as `freehold up` starts it."""
    upstream = FakeUpstream()
    endpoint = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
    config = GatewayConfig(
        endpoints=(endpoint,),
        port=claim_port(),
        store_url=project.store_url,
        spool_folder=str(project.state / "spool"),
        keys_file=str(project.keys_file),
        capture="raw",
    )
    try:
        with serve.started(config, log=project.state / "engines" / "serving.log") as running:
            yield running
    finally:
        upstream.close()


@pytest.mark.process
def test_what_is_on_its_way_into_the_store_is_forgotten_too(project):
    """While another process holds the store, a person's request lies in the spool only."""
    question = {"model": "m", "user": "user-4711", "messages": [{"role": "user", "content": SECRET}]}
    with open_store(project.store_url) as store:
        known = store.count_traces(complete_only=False)
    with serving(project) as running:
        holder = sqlite3.connect(
            project.store_url.removeprefix("sqlite:///"), isolation_level=None, timeout=20
        )
        holder.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            assert post(running, question)[0] == 200
        assert len(in_flight(project.state / "spool", project.store_url)) == 5
        made = []
        thread = threading.Thread(target=lambda: made.append(run(project, Whom(user="user-4711"))))
        thread.start()
        time.sleep(1.0)
        assert not made, "it waits"
        holder.execute("COMMIT")
        holder.close()
        thread.join(90)
        assert made[0].traces == 4 + 5
        eventually(lambda: not in_flight(project.state / "spool", project.store_url))
        assert hits(*folders(project)) == []
        with open_store(project.store_url) as store:
            assert store.count_traces(complete_only=False) == known - 4


def test_with_something_that_nobody_writes_nothing_is_deleted(project, monkeypatch):
    monkeypatch.setattr("freehold.workflows.data.forget.IN_FLIGHT_WITHIN_S", 0.2)
    left = Spool(
        project.state / "spool", digest_of(project.store_url), "gone", max_items=9, max_bytes=1 << 20
    )
    left.append(framed(TRACE, b"of user-4711"))
    left.leave()
    with pytest.raises(StorageError, match="nothing was deleted: 1 traces") as caught:
        run(project, Whom(user="user-4711"))
    assert "freehold up" in caught.value.hint
    planned = run(project, Whom(user="user-4711"), dry_run=True)
    assert planned.traces == 4 and any("1 traces are on their way" in note for note in planned.notes)


def test_a_spool_of_another_store_is_named(project):
    left = Spool(
        project.state / "spool", digest_of("sqlite:///elsewhere"), "gone", max_items=9, max_bytes=1 << 20
    )
    left.append(framed(TRACE, b"of user-4711"))
    left.leave()
    made = run(project, Whom(user="user-4711"))
    assert made.traces == 4 and any("1 traces in" in note and "another store" in note for note in made.notes)


def test_what_a_user_looked_at_is_cut_to_counts(project):
    """Of the dataset that is lost, of files that this store compared; not what another store looked at."""
    with open_store(project.store_url) as store, open_store("sqlite://") as other:
        held_out = list(building.samples(store.latest(Dataset), "held_out"))

        def taken(where, dataset_id):
            names = ("incumbent", "candidate")
            look = look_at(
                held_out, evaluation_id=dataset_id, dataset_id=dataset_id, names=names, alpha=0.025
            )
            return Looks(where).take(look).known

        for where, dataset_id in ((store, store.latest(Dataset).id), (store, "sha256:1"), (other, "d2")):
            before = taken(where, dataset_id)
    assert (before.looks, before.elsewhere) == (3, 2)
    with open_store("sqlite://") as fresh:
        assert taken(fresh, "d3").elsewhere == 3
    for dry_run in (True, False):
        made = run(project, Whom(user="user-4711"), dry_run=dry_run)
        assert made.files["looks cut to counts"] == 2
    with open_store("sqlite://") as fresh:
        after = taken(fresh, "d4")
    assert (after.looks, after.elsewhere, after.trouble) == (5, 2, None), "d2 and d3 are left"
