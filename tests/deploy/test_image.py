"""The image, built by its own Containerfile and run as a container runs: read-only root, no rights, no network.

FREEHOLD_TEST_IMAGE_BASE names a Debian 13 that buildah can have: an image, or ``debootstrap`` to make one. Without it
this is skipped: a build takes minutes and fetches packages. Building needs root, buildah and, to run, bubblewrap.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.deploy.containerfile import CONTAINERFILE, ROOT, environment, last, lineage, stages
from tests.deploy.inside import UPSTREAM_PORT

pytestmark = pytest.mark.process

INSIDE = Path(__file__).with_name("inside.py")
_, STAGES = stages(CONTAINERFILE.read_text())
MOST_MB = 600
"""Of the gateway's image, in millions of bytes, uncompressed, its Debian included."""
CONFIG = f"""
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:{UPSTREAM_PORT}/v1"
"""


class Builder:
    """buildah with a store of its own, where user namespaces and many rights are not to be had."""

    def __init__(self, folder):
        self.where = [
            "--storage-driver",
            "overlay",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
        ]

    def __call__(self, *words):
        done = subprocess.run(
            ["buildah", *self.where, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    if not os.environ.get("FREEHOLD_TEST_IMAGE_BASE"):
        pytest.skip("FREEHOLD_TEST_IMAGE_BASE names no base to build on")
    for program in ("buildah", "bwrap"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("builder")
    made = Builder(folder)
    yield made
    # What is left mounted cannot be deleted, by whichever run of the tests comes to it.
    made("umount", "--all")
    made("rm", "--all")
    if (own := folder / "store" / "overlay").is_mount():
        subprocess.run(["umount", own], check=True)


@pytest.fixture(scope="module")
def base(builder, tmp_path_factory):
    named = os.environ["FREEHOLD_TEST_IMAGE_BASE"]
    if named != "debootstrap":
        return named
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    root = tmp_path_factory.mktemp("debian")
    subprocess.run(["debootstrap", "--variant=minbase", "trixie", root], check=True, capture_output=True)
    container = builder("from", "scratch")
    builder("add", container, root, "/")
    builder("commit", container, "localhost/debian:trixie")
    return "localhost/debian:trixie"


@pytest.fixture(scope="module")
def build(builder, base, tmp_path_factory):
    """Build a target; its root as a folder."""

    def built(target):
        folder = tmp_path_factory.mktemp("build")
        (folder / "pip.conf").write_text("[global]\ncert = /run/host-certificates.crt\n")
        limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        ulimits = [word for name, number in limits.items() for word in ("--ulimit", _ulimit(name, number))]
        mounts = {
            "/etc/ssl/certs/ca-certificates.crt": "/run/host-certificates.crt",
            folder / "pip.conf": "/etc/pip.conf",
        }
        tag = f"localhost/freehold:{target}"
        builder(
            *("bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--quiet", *ulimits),
            *(word for here, there in mounts.items() for word in ("--volume", f"{here}:{there}:ro")),
            *("--layers", "--build-arg", f"BASE={base}", "--target", target, "--tag", tag, ROOT),
        )
        return Path(builder("mount", builder("from", tag)))

    return built


@pytest.fixture(scope="module")
def image(build):
    """The gateway's root."""
    return build("gateway")


def _ulimit(name, number):
    soft, hard = (min(limit if limit > 0 else 4096, 4096) for limit in resource.getrlimit(number))
    return f"{name}={soft}:{hard}"


def sandbox(image, *mounts):
    """A command that runs as a container of the image does."""
    chain = lineage(STAGES, "gateway")
    uid, gid = last(chain, "USER").text.split(":")
    variables = [word for name, value in environment(chain).items() for word in ("--setenv", name, value)]
    return [
        *("bwrap", "--ro-bind", str(image), "/", "--dev", "/dev", "--proc", "/proc", *map(str, mounts)),
        *(
            "--unshare-all",
            "--unshare-user",
            "--uid",
            uid,
            "--gid",
            gid,
            "--cap-drop",
            "ALL",
            "--die-with-parent",
            "--clearenv",
        ),
        *(*variables, "--setenv", "HOME", "/var/lib/freehold", "--chdir", last(chain, "WORKDIR").text),
    ]


def started():
    chain = lineage(STAGES, "gateway")
    return [*last(chain, "ENTRYPOINT").words, *last(chain, "CMD").words]


@pytest.fixture
def files(tmp_path):
    """What a user mounts: the file, and a folder for the state. Who runs the test is user 1000 in the sandbox."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "freehold.toml").write_text(CONFIG)
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.mark.timeout(900)
def test_it_answers_from_a_read_only_root_without_rights_and_a_network(image, files):
    health = json.loads(last(lineage(STAGES, "gateway"), "HEALTHCHECK").text.partition("CMD ")[2])
    mounts = [
        *("--tmpfs", "/tmp", "--bind", files / "state", "/srv/freehold/.freehold"),
        *("--ro-bind", files / "config", "/etc/freehold"),
    ]
    words = ["python3", "-c", INSIDE.read_text(), json.dumps(started()), json.dumps(health)]
    done = subprocess.run([*sandbox(image, *mounts), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["answer"], told["keys"]) == (200, "on its way", 0), told
    assert told["without_key"] == 401 and told["health_check"] == 0
    assert told["user"] == [1000, 1000]
    assert told["writes"] == {
        "/": False,
        "/opt/freehold": False,
        "/srv/freehold": False,
        "/etc": False,
        "/tmp": True,
    }
    assert told["code"] == 0, "it ends in order when it is told to"
    size = (
        sum(path.lstat().st_size for path in image.rglob("*") if not path.is_symlink() and path.is_file())
        / 1e6
    )
    sys.stdout.write(f"answered after {told['answer_seconds']:.1f} s; {size:.0f} MB\n")
    assert size < MOST_MB


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        (["--tmpfs", "/tmp"], "the state folder cannot be written: "),
        (["--tmpfs", "/srv/freehold/.freehold"], "no folder for temporary files can be written"),
    ],
    ids=["no state", "no temporary files"],
)
def test_without_a_place_to_write_it_says_so_in_one_line(image, files, mounts, said):
    config = ["--ro-bind", files / "config", "/etc/freehold"]
    command = [*sandbox(image, *mounts, *config), *started()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert said in error and "Traceback" not in done.stderr
    assert "hint: in a container, mount" in done.stderr


def test_the_image_holds_no_secret_and_no_way_to_install(image):
    assert not list((image / "opt" / "freehold").rglob("pip")), "no package manager for an intruder"
    assert not (image / "etc" / "pip.conf").exists() or not (image / "etc" / "pip.conf").read_text()
    assert not list((image / "srv" / "freehold").rglob("*.toml"))


MODULES = {"engine": ("xllamacpp", "gguf"), "train": ("xllamacpp", "torch", "peft", "onnxruntime")}
"""Of each target what its own extras are for: what they load of the system has to be in the image."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", MODULES)
def test_the_libraries_of_an_engine_and_of_training_load(build, target):
    """`train` is built where FREEHOLD_TEST_IMAGE_TRAIN says so: it is 7 GB, most of it CUDA."""
    if target == "train" and not os.environ.get("FREEHOLD_TEST_IMAGE_TRAIN"):
        pytest.skip("FREEHOLD_TEST_IMAGE_TRAIN is not set")
    root = build(target)
    for module in MODULES[target]:
        words = [*sandbox(root, "--tmpfs", "/tmp"), "/opt/freehold/bin/python3", "-c", f"import {module}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-1000:]
    assert not list((root / "opt" / "freehold").rglob("pip"))
