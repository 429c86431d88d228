import shlex

from click.testing import CliRunner

from freehold.cli.main import cli


def test_a_long_example_can_be_pasted():
    shown = CliRunner().invoke(cli, ["routes", "--help"], terminal_width=80).output
    example = shown[shown.index("freehold routes set support --model") :].split("--limit")[0]
    assert " \\\n" in example
    words = shlex.split(example.replace("\\\n", ""))
    assert words[:8] == [
        "freehold", "routes", "set", "support", "--model", "gpt-4o", "--incumbent", "incumbent"
    ]  # fmt: skip
    assert words[8:10] == ["--candidate", "local/base:app"]
