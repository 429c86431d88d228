"""What an exported encoder is asked by: ``python student.pyz TEXT …``, these files alone in an archive.

It reads the folder that it lies in, or, of words alone, what is in the archive itself: with the code that serves it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from freehold.encoders.answers import answer
from freehold.encoders.folder import is_encoder, read_manifest
from freehold.encoders.runner import EncodedText, load_runner
from freehold.errors import FreeholdError


def main() -> None:
    """Print the answer to the texts of the command, one for each view, or two to compare, and how probable it is."""
    archive: Any = zipfile.Path(sys.argv[0])  # it does what is done here with a folder
    folder = archive if is_encoder(archive) else Path(sys.argv[0]).parent
    try:
        manifest = read_manifest(folder)
        count = 2 if manifest.marks else len(manifest.views)
        texts = tuple(text.strip() for text in [*sys.argv[1:], *[""] * count][:count])
        (read,) = load_runner(folder, threads=1).run([texts])
    except FreeholdError as error:
        sys.exit(f"error: {error.message}")
    assert isinstance(read, EncodedText)  # without a limit each text is read
    made = answer(manifest, read, texts[0])
    sys.stdout.write(
        json.dumps({"answer": made.text, "probability": made.probability}, ensure_ascii=False) + "\n"
    )
