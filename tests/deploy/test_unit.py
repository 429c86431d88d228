"""The guide's unit for systemd, as it stands and without the lines that it says to leave out, read by systemd's own
program.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/guides/deploy.md"
(UNIT,) = re.findall(r"```ini\n(.*?)```", GUIDE.read_text(), re.DOTALL)
UNIT = UNIT.replace("User=ada", "User=daemon").replace("/opt/freehold/bin/freehold", "/bin/true")


def without(text, *headings):
    """The unit without the lines below these comments."""
    return re.sub(rf"# Not with (?:{'|'.join(headings)}).*?(?=#|\n\n)", "", text, flags=re.DOTALL)


@pytest.fixture
def analyze(tmp_path):
    """``systemd-analyze`` on a unit's file."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")

    def run(text, *words):
        file = tmp_path / "freehold-support.service"
        file.write_text(text.replace("WorkingDirectory=/srv/support", "WorkingDirectory=/srv"))
        return subprocess.run(
            ["systemd-analyze", *words, str(file)], capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.process
@pytest.mark.parametrize(
    ("left_out", "most"), [((), 2.0), (("an engine",), 3.0), (("an engine", "a scorer"), 5.0)]
)
def test_systemd_accepts_the_unit_and_does_not_find_it_exposed(left_out, most, analyze):
    text = without(UNIT, *left_out) if left_out else UNIT
    assert ("MemoryDenyWriteExecute" in text, "RestrictNamespaces" in text) == (
        "an engine" not in left_out,
        "a scorer" not in left_out,
    )
    verified = analyze(text, "verify", "--man=no")
    assert (verified.returncode, verified.stderr.strip()) == (0, "")
    told = analyze(text, "security", "--offline=true", "--no-pager")
    # The words of systemd: below 5 is "OK" (from 2) or "SAFE"; a service without any of these lines has 9 and more.
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)[1]) < most, told.stdout


def test_signals_and_secrets_are_those_of_a_gateway():
    assert (
        "ExecReload=/bin/kill -USR2 $MAINPID" in UNIT and "KillMode=mixed" in UNIT and "Type=notify" in UNIT
    )
    assert "\nEnvironmentFile=/etc/freehold/support.env" in UNIT, "missing, it stops the start"
