import msgspec
import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.types.config import FinetuneConfig
from freehold.types.training import Adapter


def manifest(path, **changes):
    fields = {
        "id": "a" * 32,
        "name": "support",
        "path": str(path),
        "base_model": "test/tiny",
        "base_sha256": "b" * 64,
        "dataset_id": "d" * 32,
        "config": FinetuneConfig(r=16),
        "template_sha256": "t" * 64,
        "seed": 0,
        "steps": 10,
        "train_tokens": 1000,
        "train_seconds": 2.0,
        "final_loss": 0.25,
        "peak_memory_bytes": 2**30,
        "files": {},
        "versions": {},
        "made_from": (),
        "curve": ((1, 2.0), (2, 0.25)),
    }
    adapter = Adapter(**{**fields, **changes})
    path.mkdir(parents=True)
    (path / "adapter.json").write_bytes(msgspec.json.encode(adapter))
    return adapter


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n')
    folder = tmp_path / ".freehold" / "adapters"
    manifest(folder / "support-1")
    manifest(folder / "support-2", id="c" * 32, config=FinetuneConfig(r=8), final_loss=0.5)
    return folder


def run(*arguments, **options):
    return CliRunner().invoke(cli, ["adapters", *arguments], **options)


def test_list_and_show(project):
    assert [one["id"] for one in msgspec.json.decode(run("list", "--json").output)["items"]] == [
        "a" * 32,
        "c" * 32,
    ]
    shown = run("show", "aaaa").output
    assert "r=16" in shown
    assert "500 tokens/s" in shown
    assert "█▁" in shown


@pytest.mark.parametrize(
    ("wanted", "message"), [("support", "2 adapters are called support"), ("nothing", "no adapter nothing")]
)
def test_unclear_names_are_errors_with_a_hint(project, wanted, message):
    result = run("show", wanted)
    assert message in str(result.exception)
    assert result.exception.hint


def test_rm_removes_only_after_yes(project):
    assert run("rm", "aaaa", input="n\n").exit_code != 0
    assert (project / "support-1").is_dir()
    assert "freed" in run("rm", "aaaa", "--yes").output
    assert not (project / "support-1").exists()
    assert (project / "support-2").is_dir()
