"""Freehold's chart, rendered by Helm: templates of Go are Helm's to read, and no second description of pods is kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from freehold.errors import UsageError
from freehold.types.serving.cluster import Manifest

_CHART = "deploy/helm/freehold"
_WITHIN_S = 60


def chart_folder() -> Path:
    """Where the chart lies: inside the installed package, or beside the source in a checkout.

    Raises `UsageError` when neither is there.
    """
    package = Path(__file__).parents[3]
    for folder in (package / _CHART, package.parents[1] / _CHART):
        if (folder / "Chart.yaml").is_file():
            return folder
    raise UsageError("freehold's chart is missing from this installation", hint="install freehold again")


def template(release: str, namespace: str, values: Manifest) -> str:
    """The manifests of a release, as ``helm template`` writes them. Nothing is asked of a cluster.

    Raises `UsageError` without Helm, and with its words where it refuses the values.
    """
    helm = shutil.which("helm")
    if helm is None:
        raise UsageError(
            "Kubernetes manifests are rendered by Helm, and it is not installed here",
            hint="install helm (3 or later); or take the values to where it is: freehold cluster render values MODEL",
        )
    ran = subprocess.run(
        [helm, "template", release, str(chart_folder()), "--namespace", namespace, "--values", "-"],
        input=yaml.safe_dump(values, sort_keys=False),
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    if ran.returncode:
        raise UsageError(f"helm does not render the chart: {_reason(ran.stderr)}")
    text: str = ran.stdout
    return text


def _reason(said: str) -> str:
    """What Helm refuses, of all it says, without the place in its templates."""
    refused = said.partition("Error: ")[2].partition("\nUse --debug")[0] or said
    return re.sub(r"^execution error at \(.*?\): ", "", " ".join(refused.split()))[:500]
