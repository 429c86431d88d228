import pytest


def test_each_engine_says_whether_it_can_be_used(freehold):
    found = {line["name"]: line for line in freehold("engines", "list", "--json").items}
    assert found["echo"]["available"] and found["remote"]["available"]
    assert "freehold engines install vllm" in found["vllm"]["note"]
    assert [line.split()[0] for line in freehold("engines", "list").out.splitlines()] == list(found)


def test_what_is_not_installed_cannot_be_removed(refused):
    refused("engines", "rm", "vllm", message="vllm is not installed", hint="freehold engines list")


def test_what_install_began_is_removed(freehold, tmp_path):
    begun = tmp_path / "home" / "engines" / "vllm-cpu"
    begun.mkdir(parents=True)
    (begun / "half").write_bytes(b"x" * 5000)
    told = freehold("engines", "rm", "vllm-cpu", "--json").fields
    assert told["name"] == "vllm-cpu" and told["freed_bytes"] >= 5000 and not begun.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("llamacpp",), "--native builds it for this very CPU"),
        (("vllm", "--native"), "--native and --force are for llamacpp, not for vllm"),
        (("word2vec",), "'word2vec' is not one of"),
    ],
)
def test_mistakes(freehold, words, message):
    ran = freehold("engines", "install", *words)
    assert ran.code == 2
    assert message in ran.err
