"""A hub, played by a server on loopback that speaks its API; fetched with the real library."""

import concurrent.futures
import errno
import hashlib
import http.server
import json
import threading
import time
from pathlib import Path

import pytest

from freehold.errors import HashMismatchError, StorageError, UnknownModelError, WeightsError
from freehold.settings import load
from freehold.workflows.weights.pull import ensure_weights, remove_weights, show_weights

huggingface_hub = pytest.importorskip("huggingface_hub")


COMMIT = "c0ffee" + "0" * 34


class Hub(http.server.BaseHTTPRequestHandler):
    """Repositories of ``files``; the `resolve` and `model info` parts of the API."""

    repositories: dict[str, dict[str, bytes]] = {}
    gated: set[str] = set()
    cut_once: set[str] = set()
    lies: set[str] = set()
    ranges: list[str] = []

    def log_message(self, *_):
        return

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        path = self.path.split("?")[0].strip("/")
        if path.startswith("api/models/"):
            parts = path.removeprefix("api/models/").split("/")
            self.info("/".join(parts[:2]))
            return
        owner, name, _, _revision, *rest = path.split("/")
        self.file(f"{owner}/{name}", "/".join(rest), body=body)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def info(self, repository):
        files = self.repositories.get(repository)
        if files is None:
            return self.refuse(404, "RepoNotFound")
        siblings = []
        for name, data in files.items():
            digest = hashlib.sha256(data).hexdigest() if name not in self.lies else "0" * 64
            siblings.append(
                {
                    "rfilename": name,
                    "size": len(data),
                    "lfs": {"sha256": digest, "size": len(data), "pointerSize": 134},
                }
            )
        payload = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        return None

    def file(self, repository, name, *, body):
        if repository in self.gated:
            return self.refuse(403, "GatedRepo")
        data = self.repositories[repository].get(name)
        if data is None:
            return self.refuse(404, "EntryNotFound")
        start = 0
        asked = self.headers.get("Range")
        if asked and body:
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if body:
            if name in self.cut_once:
                self.cut_once.discard(name)
                self.wfile.write(data[start : len(data) // 2])
                self.close_connection = True
                return None
            self.wfile.write(data[start:])
        return None


@pytest.fixture
def hub(monkeypatch, tmp_path):
    kind = type(
        "ThisHub",
        (Hub,),
        {"repositories": {}, "gated": set(), "cut_once": set(), "lies": set(), "ranges": []},
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_asked_quantization_is_fetched_and_checked(hub, settings, tiny_gguf):
    hub.repositories["org/model-GGUF"] = {
        "model-Q4_K_M.gguf": tiny_gguf("a", 15),
        "model-Q8_0.gguf": tiny_gguf("b", 7),
        "README.md": b"hello",
    }
    found = ensure_weights("org/model-GGUF", settings, quantization="Q4_K_M")
    assert found.quantization == "Q4_K_M"
    assert found.source == f"hf:org/model-GGUF@{COMMIT}#model-Q4_K_M.gguf"
    assert show_weights("org/model-GGUF", settings).owned
    other = ensure_weights("hf:org/model-GGUF#model-Q8_0.gguf", settings)
    assert other.quantization == "Q8_0"
    hub.repositories.clear()
    assert ensure_weights("org/model-GGUF", settings, quantization="Q4_K_M") == found, "no network needed"


@pytest.mark.parametrize(
    ("said", "repository"),
    [
        (
            "google/gemma-3-1b-it",
            "google/gemma-3-1b-it",
        ),  # near google/gemma-3-270m, and no misspelling of it
        ("gemma-3-27b-pt", "google/gemma-3-27b-pt"),  # an alias of -it by shape, with weights of its own
    ],
)
def test_a_model_of_the_catalog_is_asked_for_on_the_hub(hub, settings, tiny_gguf, said, repository):
    hub.repositories[repository] = {"model-Q8_0.gguf": tiny_gguf("b", 7)}
    assert ensure_weights(said, settings).model_id == repository


def test_safetensors_come_with_what_they_need(hub, settings, tiny_safetensors):
    hub.repositories["org/model"] = {
        "model.safetensors": tiny_safetensors(),
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "pytorch_model.bin": b"a pickle, not fetched",
    }
    found = ensure_weights("org/model", settings)
    names = sorted(path.name for path in Path(found.path).iterdir() if path.is_file())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_broken_download_goes_on_where_it_stopped(hub, settings, tiny_gguf):
    hub.repositories["org/model"] = {"m-Q8_0.gguf": tiny_gguf("big", 7, padding=25_000_000)}
    hub.cut_once.add("m-Q8_0.gguf")
    found = ensure_weights("org/model", settings)
    assert found.bytes == len(hub.repositories["org/model"]["m-Q8_0.gguf"])
    assert hub.ranges and not hub.ranges[-1].startswith("bytes=0-")


def test_a_gated_model_says_what_to_do(hub, settings, tiny_gguf):
    hub.repositories["org/gated"] = {"m-Q8_0.gguf": tiny_gguf()}
    hub.gated.add("org/gated")
    with pytest.raises(WeightsError, match="gated") as caught:
        ensure_weights("org/gated", settings)
    assert "HF_TOKEN" in caught.value.hint


def test_other_bytes_than_promised_are_not_kept(hub, settings, tiny_gguf):
    hub.repositories["org/model"] = {"m-Q8_0.gguf": tiny_gguf()}
    hub.lies.add("m-Q8_0.gguf")
    with pytest.raises(HashMismatchError):
        ensure_weights("org/model", settings)
    assert not [path for path in settings.home.rglob("*.gguf") if path.is_file()]


def test_all_parts_of_a_split_file_are_fetched_checked_and_removed(hub, settings, tiny_gguf):
    names = [f"big-Q8_0-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    parts = {name: tiny_gguf(name, 7) for name in names}
    hub.repositories["org/big"] = {**parts, "other-Q4_0.gguf": tiny_gguf("other", 2)}
    found = ensure_weights("org/big", settings, quantization="Q8_0")
    folder = Path(found.path).parent
    assert Path(found.path).name == names[0], "engines are given the first part"
    assert sorted(path.name for path in folder.glob("*.gguf")) == names
    assert found.bytes == sum(map(len, parts.values()))
    second = folder / names[1]
    second.write_bytes(second.read_bytes().replace(b"big", b"BIG"))
    with pytest.raises(HashMismatchError):
        ensure_weights("org/big", settings, quantization="Q8_0")
    assert remove_weights("org/big", settings, quantization="Q8_0").size == found.bytes
    assert not list(folder.glob("*.gguf"))


def test_a_split_file_without_one_of_its_parts_is_not_begun(hub, settings, tiny_gguf):
    hub.repositories["org/big"] = {"big-Q8_0-00001-of-00002.gguf": tiny_gguf()}
    with pytest.raises(WeightsError, match=r"lacks a part .*00002-of-00002"):
        ensure_weights("org/big", settings)
    assert not list(settings.home.rglob("*.gguf"))


def test_a_quantization_is_a_word_of_its_own(hub, settings, tiny_gguf):
    hub.repositories["org/model"] = {
        "model-BF16.gguf": tiny_gguf("bf16", 32),
        "model-F16.gguf": tiny_gguf("f16", 1),
        "model-Q4_K_M-v2.gguf": tiny_gguf("q4", 15),
    }
    assert ensure_weights("org/model", settings, quantization="F16").source.endswith("#model-F16.gguf")
    with pytest.raises(UnknownModelError):
        ensure_weights("org/model", settings, quantization="Q4_K")


def test_the_only_gguf_is_taken_whatever_it_is_called(hub, settings, tiny_gguf):
    hub.repositories["org/one"] = {"README.md": b"", "our-model.gguf": tiny_gguf("one", 3)}
    assert ensure_weights("org/one", settings).source.endswith("#our-model.gguf")
    hub.repositories["org/parts"] = {f"m-IQ4_XS-0000{n}-of-00002.gguf": tiny_gguf(str(n), 30) for n in (1, 2)}
    assert ensure_weights("org/parts", settings).path.endswith("00001-of-00002.gguf")
    hub.repositories["org/two"] = {"a.gguf": tiny_gguf("a"), "b.gguf": tiny_gguf("b")}
    with pytest.raises(UnknownModelError, match="no usual GGUF"):
        ensure_weights("org/two", settings)


def test_two_servers_that_want_the_same_model_fetch_it_once(hub, settings, tiny_gguf, monkeypatch):
    hub.repositories["org/model"] = {"m-Q8_0.gguf": tiny_gguf("both", 7, padding=1_000_000)}
    fetched = []
    fetch = huggingface_hub.hf_hub_download

    def slowly(*arguments, **named):
        fetched.append(arguments[1])
        time.sleep(0.2)
        return fetch(*arguments, **named)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", slowly)
    with concurrent.futures.ThreadPoolExecutor(4) as both:
        found = list(both.map(lambda _: ensure_weights("org/model", settings), range(4)))
    assert fetched == ["m-Q8_0.gguf"]
    assert len({one.sha256 for one in found}) == 1


def test_a_disk_that_fills_up_while_pulling_is_one_line_and_the_next_pull_goes_on(
    hub, settings, tiny_gguf, monkeypatch
):
    hub.repositories["org/model"] = {"m-Q8_0.gguf": tiny_gguf()}

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(huggingface_hub, "hf_hub_download", full)
        with pytest.raises(StorageError, match="the disk is full") as caught:
            ensure_weights("org/model", settings)
    assert "FREEHOLD_HOME" in caught.value.hint
    assert ensure_weights("org/model", settings).source.endswith("#m-Q8_0.gguf")


def test_a_repository_of_pickles_is_refused(hub, settings):
    hub.repositories["org/old"] = {"pytorch_model.bin": b"x", "config.json": b"{}"}
    with pytest.raises(WeightsError, match="pickle"):
        ensure_weights("org/old", settings)


def test_unknown_repositories_and_files(hub, settings, tiny_gguf):
    with pytest.raises(UnknownModelError, match="has no org/none"):
        ensure_weights("org/none", settings)
    hub.repositories["org/model"] = {"m-Q8_0.gguf": tiny_gguf()}
    with pytest.raises(UnknownModelError, match="has no file other"):
        ensure_weights("hf:org/model#other.gguf", settings)
    with pytest.raises(UnknownModelError) as caught:
        ensure_weights("org/model", settings, quantization="Q2_K")
    assert "m-Q8_0.gguf" in caught.value.hint


def test_a_hub_out_of_reach_is_one_line(settings, monkeypatch, unused_port):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(WeightsError, match="cannot be reached") as caught:
        ensure_weights("org/model", settings)
    assert "HF_ENDPOINT" in caught.value.hint


def hub_cache(monkeypatch, tmp_path, repo, files):
    """A cache as the hub's library lays it out, with one snapshot."""
    hub = pytest.importorskip("huggingface_hub")
    cache = tmp_path / "hub"
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(cache))
    place = cache / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    for name, data in files.items():
        (snapshot / name).write_bytes(data)
    return snapshot


def test_a_repository_in_the_hubs_cache_is_read_in_place(
    tmp_path, settings, monkeypatch, tiny_gguf, tiny_safetensors
):
    offline = load({"FREEHOLD_HOME": str(settings.home), "FREEHOLD_OFFLINE": "1"})
    files = {"config.json": b"{}", "tokenizer_config.json": b"{}", "model.safetensors": tiny_safetensors()}
    snapshot = hub_cache(monkeypatch, tmp_path, "org/whole", files)
    found = ensure_weights("org/whole", offline)
    assert (found.path, found.format, found.source) == (str(snapshot), "safetensors", "hf:org/whole")
    assert not show_weights("org/whole", offline).owned
    snapshot = hub_cache(
        monkeypatch,
        tmp_path,
        "org/ggufs",
        {"m-Q8_0.gguf": tiny_gguf(file_type=7), "m-Q4_0.gguf": tiny_gguf(file_type=2)},
    )
    assert ensure_weights("org/ggufs", offline, quantization="Q4_0").path == str(snapshot / "m-Q4_0.gguf")
    snapshot = hub_cache(monkeypatch, tmp_path, "org/odd", {"m-Q4_1.gguf": tiny_gguf(file_type=3)})
    assert ensure_weights("org/odd", offline).path == str(snapshot / "m-Q4_1.gguf"), "the only one there is"
    hub_cache(monkeypatch, tmp_path, "org/half", {"model.safetensors": tiny_safetensors()})
    with pytest.raises(WeightsError, match="not here"):
        ensure_weights("org/half", offline)
