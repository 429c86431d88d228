import subprocess
import sys

import pytest
from click.testing import CliRunner

from freehold.cli.main import COMMANDS, cli


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output


def test_misspelt_command_names_the_nearest():
    result = CliRunner().invoke(cli, ["setings"])
    assert result.exit_code == 2
    assert "did you mean 'freehold settings'" in result.output


def test_help_imports_no_heavy_library():
    heavy = ["torch", "transformers", "numpy", "scipy", "sqlalchemy", "aiohttp", "httptools", "rich"]
    code = (
        "import sys\nfrom freehold.cli.main import cli\n"
        "try: cli.main(['--help'], prog_name='freehold')\nexcept SystemExit: pass\n"
        f"loaded = [m for m in {heavy!r} if m in sys.modules]\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_command_that_ends_with_a_code_ends_the_process_with_it():
    asked = [sys.executable, "-m", "freehold", "license", "nobody/mystery", "--set", "mode=internal"]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 3


def test_sigterm_ends_a_command_as_ctrl_c_does():
    program = (
        "import time\nfrom freehold.cli import main\n"
        "def work(**_):\n    try:\n        print('on', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        print('put away', flush=True)\n"
        "main.cli.main = work\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "on\n"
    process.terminate()
    assert process.communicate(timeout=30)[0] == "put away\n"
    assert process.returncode == 143
