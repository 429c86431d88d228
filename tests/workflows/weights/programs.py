"""A stand-in for a program of llama.cpp."""

import sys
from pathlib import Path

from freehold.engines.llamacpp import native


def quantize_program(folder, home, *, fails):
    """A llama-quantize that writes a file of the asked type, and a build record that names it. It says why and ends
    with 3 where its source or the type has `fails` in its name."""
    script = folder / "llama-quantize"
    root = Path(__file__).parents[3]
    script.write_text(
        f"#!{sys.executable}\n"
        f"import sys; sys.path[:0] = ['{root}', '{root / 'src'}']\n"
        "from pathlib import Path\n"
        "from benchmarks import tiny_models\n"
        "source, target, kind = [a for a in sys.argv[1:] if not a.startswith('--')][:3]\n"
        f"if '{fails}' in Path(source).name + kind: print('cannot read it: needs a calibration'); sys.exit(3)\n"
        "tiny_models.write(tiny_models.SHAPES['llama'], kind, Path(target))\n"
    )
    script.chmod(0o755)
    native.folder(home).mkdir(parents=True)
    native.record(
        home,
        native.NativeBuild(
            version=native.VERSION, binary=str(script), sha256="0", cpu=native.cpu_name(), flags=(),
            compiler="c", quantize=str(script),
        ),
    )  # fmt: skip
    return script
