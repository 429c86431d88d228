"""Evaluations, frozen answers, parity and mixtures by command."""

import json
import random
import shutil
import threading
from datetime import UTC, datetime, timedelta

import click
import pytest
from tests.report.sample_mixture import mixture, refused
from tests.workflows.prove.test_label import item

from freehold.cli import label
from freehold.cli.defer import mixture_view
from freehold.cli.output import show
from freehold.store import look_ledger
from freehold.types.evaluated import ItemLook
from freehold.workflows.prove.label import LabelSession


@pytest.fixture
def files(tmp_path):
    def write(n, right):
        for name, count in (("a", n), ("b", right)):
            rows = [{"id": i, "output": "yes" if i < count else "no", "gold": "yes"} for i in range(n)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return "--a", tmp_path / "a.jsonl", "--b", tmp_path / "b.jsonl", "--task", "label", "--margin", "0.05"

    return write


@pytest.mark.parametrize(
    ("n", "right", "code", "word"), [(200, 200, 0, "PROMOTE"), (200, 100, 1, "REJECT"), (40, 39, 3, "HOLD")]
)
def test_the_exit_code_says_the_verdict(freehold, files, n, right, code, word):
    status, out, _ = freehold("evaluate", *files(n, right))
    assert status == code
    assert out.startswith(f"{word}  b against a")


def test_files_count_their_looks_too(freehold, files):
    first = json.loads(freehold("evaluate", *files(200, 200), "--json").out)["comparison"]
    assert (first["look"]["number"], first["look"]["items"], first["verdict"]) == (1, 200, "promote")
    status, out, _ = freehold("evaluate", *files(200, 199), "--json")
    second = json.loads(out)["comparison"]
    assert (status, second["verdict"], second["reasons"][-1]) == (3, "hold", "repeated_look")
    assert (second["look"]["number"], second["look"]["shared"]) == (2, 200)
    assert second["look"]["first_at"] and not second["look"]["may_promote"]
    status, out, _ = freehold("evaluate", *files(200, 200))
    assert status == 0, "the first once more is the first look"
    _, out, _ = freehold("evaluate", *files(200, 198))
    assert "Evaluation 3 of these items, the first on" in " ".join(out.split())
    assert "200 of 200 items are shared" in " ".join(out.split())


def test_evaluations_by_hand_stand_side_by_side(freehold, files):
    for right in (200, 199, 198):
        freehold("evaluate", *files(200, right))
    shown = freehold("report")
    assert shown.code == 0
    head, *rows = shown.out.splitlines()
    assert head.split()[:4] == ["when", "(UTC)", "candidate", "score"] and len(rows) == 3
    assert [row.split()[3] for row in rows] == ["0.9900", "0.9950", "1.0000"], "the last one first"
    listed = freehold("report", "--evaluations", "--json").items
    assert [one["look"] for one in listed] == [3, 2, 1]
    assert [one["verdict"] for one in listed] == ["hold", "hold", "promote"]


@pytest.fixture
def incumbent(freehold, traffic, serving):
    """A project with a dataset, whose incumbent is a model that answers here."""
    config = traffic / "freehold.toml"
    config.write_text(
        config.read_text().replace("http://127.0.0.1:1", serving["url"]).replace("gpt-4o", "echo")
    )
    freehold("dataset", "build")


@pytest.mark.process
def test_answers_are_frozen_and_asked_once(freehold, incumbent):
    ran = freehold("freeze", "--repeats", "2", "--json")
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["answered"] == 2 * made["samples"] > 0
    again = freehold("freeze", "--repeats", "2").out
    assert again.startswith(f"{made['answered']} answers of echo to {made['samples']} samples are frozen\n")
    assert f"  self-noise {made['self_noise']:.3f}: " in again
    assert again.endswith(f"  {made['file']}\n")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (mixture(), "PROMOTE WITH DEFERRAL"),
        (mixture(losses=100), "REJECT"),
        (refused(), "NO FALLBACK PROVEN"),
        (mixture(comparison=None, share=None, refused="spent"), "NOT EVALUATED"),
    ],
)
def test_the_outcome_is_said_first(capsys, made, said):
    show(mixture_view(made))
    assert capsys.readouterr().out.startswith(said)


def test_keys_label_pairs(tmp_path, monkeypatch, capsys):
    keys = iter("x1u2=sq")
    monkeypatch.setattr(click, "getchar", lambda: next(keys))
    session = LabelSession([item(i) for i in range(6)], tmp_path / "l.jsonl", wanted=6)
    label.ask(session)
    assert session.progress.labelled == 3
    out = capsys.readouterr().out
    assert "pair 1 of 6" in out
    assert "candidate" not in out
    assert "incumbent" not in out


TOLD = "This machine knows of {} of about 100% of these items, in other folders or in a store that is gone"
RELABELLED = "of the same questions with other right answers: not counted as evaluations of these items."


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "home" / "looks" / "looks.jsonl"


@pytest.fixture
def evaluate(freehold, monkeypatch, tmp_path):
    """Compare two files in a folder; the comparison."""

    def run(folder, *, word="yes", right=200):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "freehold.toml").write_text(f'[app]\nname = "{folder}"\n')
        monkeypatch.chdir(place)
        for name, count in (("a", 200), ("b", right)):
            said = [{"output": word if i < count else "-", "gold": word} for i in range(200)]
            rows = [{"id": i, "question": f"Wilhelmine {i}?", **one} for i, one in enumerate(said)]
            (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        files = ("--a", "a.jsonl", "--b", "b.jsonl", "--task", "label", "--margin", "0.05")
        return freehold("evaluate", *files, "--json").json["comparison"]

    return run


def test_a_fresh_folder_and_a_deleted_store_say_what_was_looked_at_before(evaluate, tmp_path, ledger):
    first = evaluate("shop")
    assert (first["look"]["known"]["elsewhere"], first["look"]["known"]["looks"]) == (0, 1)
    second = evaluate("copy")
    assert (second["verdict"], second["look"]["number"], len(second["look"]["known"]["head"])) == (
        "promote",
        1,
        12,
    )
    assert second["notes"][0].startswith(TOLD.format("1 earlier evaluation"))
    assert evaluate("copy", right=199)["look"]["known"]["elsewhere"] == 1, "its own are counted"
    shutil.rmtree(tmp_path / "shop" / ".freehold")
    assert evaluate("shop")["notes"][0].startswith(TOLD.format("3 earlier evaluations"))
    shutil.copytree(tmp_path / "copy", tmp_path / "moved")
    moved = evaluate("moved", right=199)["look"]
    assert (moved["number"], moved["known"]["elsewhere"]) == (3, 2), "what was copied with it is counted"
    relabelled = evaluate("copy", word="L1")
    assert relabelled["look"]["number"] == 1 and relabelled["notes"][1].endswith(RELABELLED)
    assert ledger.stat().st_mode & 0o777 == 0o600 and (ledger.parent / "key").stat().st_mode & 0o777 == 0o600
    assert "Wilhelmine" not in ledger.read_text()


def test_a_ledger_that_cannot_be_written_stops_no_look(evaluate, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "looks").write_text("no folder")
    made = evaluate("shop")
    assert (made["verdict"], made["look"]["known"]["looks"]) == ("promote", 0)
    (note,) = [one for one in made["notes"] if "other folders" in one]
    assert note.startswith("Whether these items were evaluated in other folders is not known for certain: ")


def look(id, items, *, day=1):
    packed = b"".join(item.to_bytes(8, "little") for item in items)
    at = datetime(2026, 11, day, tzinfo=UTC) + timedelta(seconds=int(id))
    return ItemLook(id=id, at=at, dataset_id="d", incumbent="a", candidate="b", alpha=0.025, items=packed)


@pytest.fixture
def home(tmp_path, monkeypatch, ledger):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    ledger.parent.mkdir(parents=True)
    (ledger.parent / "key").write_bytes(bytes(range(32)))


@pytest.mark.parametrize(("before", "now"), [(200, 400), (400, 400), (4_000, 1_000), (20_000, 20_000)])
def test_the_share_is_as_near_as_it_says(home, ledger, before, now):
    ids = [random.Random(one).getrandbits(64) for one in range(before + now)]
    for shared in (0.0, 0.3, 0.5):
        ledger.unlink(missing_ok=True)
        again = int(shared * min(before, now))
        look_ledger.tell(look("1", ids[:before]), [], keep_for="one")
        found = look_ledger.tell(look("2", ids[before - again : before - again + now]), [])
        if again / now < look_ledger.LEAST_SHARE:
            assert found.elsewhere == 0
        else:
            assert found.elsewhere == 1 and abs(found.share - again / now) <= found.error + 1e-9


def test_looks_at_once_and_torn_lines_leave_a_whole_chain(home, ledger):
    def some(thread):
        for number in range(5):
            look_ledger.tell(look(f"{10 * thread + number}", range(40)), [], keep_for=f"{thread}")

    threads = [threading.Thread(target=some, args=(thread,)) for thread in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    lines = ledger.read_bytes().split()
    assert [json.loads(one)["number"] for one in lines] == list(range(1, 31))
    ledger.write_bytes(ledger.read_bytes() + b"\n" + lines[0][:50])
    found = look_ledger.tell(look("99", range(40), day=2), [], keep_for="last")
    assert (found.looks, found.elsewhere, found.trouble) == (31, 30, None)
    ledger.write_bytes(b"\n".join([*lines[:9], *lines[10:]]) + b"\n")
    found = look_ledger.tell(look("100", range(40), day=2), [])
    assert found.elsewhere == 29 and "were taken out of the user's file" in found.trouble
