"""What each kind of export consists of; `freehold.workflows.train.export` puts the card and the folder around it."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from freehold.engines.llamacpp import native
from freehold.errors import UsageError
from freehold.hardware.quantization import known
from freehold.training.artefacts import MergeJob
from freehold.training.merge import QUANTIZATIONS, merge
from freehold.training.ollama_template import go_template, infer_pieces, modelfile
from freehold.types.model import Weights
from freehold.types.training import Adapter
from freehold.workflows.project import Project
from freehold.workflows.weights import made

Kind = Literal["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class ExportUsage(NamedTuple):
    """How the files of a kind are used: a command, the layers the adapter was merged into, what else to know."""

    command: str
    changed: int = 0
    notes: tuple[str, ...] = ()


class ExportTask(NamedTuple):
    """An adapter to be written into `folder`. `quantization` is for GGUF and Ollama; `weights` are its base, None for
    kinds that do not hold it."""

    project: Project
    adapter: Adapter
    kind: Kind
    quantization: str | None
    weights: Weights | None
    folder: Path

    @property
    def name(self) -> str:
        return self.adapter.name

    def base(self) -> Weights:
        assert self.weights is not None
        return self.weights

    def source(self, name: str) -> Path:
        """One of the adapter's files. Raises `UsageError` where it has none of that name."""
        path = Path(self.adapter.path) / name
        if not path.is_file():
            raise UsageError(f"{self.name} has no {name}", hint="export --as merged")
        return path

    def copy(self, *names: str) -> None:
        """Copy files of the adapter as they are."""
        for name in names:
            shutil.copyfile(self.source(name), self.folder / name)


LICENSE_NAMES = ("license*", "licence*", "copying*", "notice*", "use_policy*")
"""Files of a model's folder in which its terms stand."""


def copy_licenses(weights: Weights | None, folder: Path) -> list[str]:
    """Copy the licence texts that lie next to the base's weights; returns their names, none where there are none."""
    if weights is None or weights.path is None:
        return []
    place = Path(weights.path)
    place = place if place.is_dir() else place.parent
    texts = [
        file
        for file in sorted(place.iterdir())
        if file.is_file() and any(fnmatch.fnmatch(file.name.lower(), name) for name in LICENSE_NAMES)
    ]
    for file in texts:
        shutil.copyfile(file, folder / file.name)
    return [file.name for file in texts]


TAGGED = (
    "Tools and calls are written in freehold's format (calls as JSON between <tool_call> tags): the base's own chat "
    "template leaves them out."
)


def _peft(task: ExportTask) -> ExportUsage:
    task.copy("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")
    notes: tuple[str, ...] = ()
    trained_on = task.adapter.metadata.get("base_weights")
    if isinstance(trained_on, dict) and trained_on.get("format") == "gguf":
        notes = (
            f"It was trained on the dequantized numbers of {trained_on.get('quantization')} weights; the command loads "
            f"what the hub has as {task.adapter.base_model}, which are others, so answers may differ.",
        )
    return ExportUsage(
        f"""python -c "from peft import AutoPeftModelForCausalLM as M; M.from_pretrained('{task.folder.stem}')\"""",
        notes=notes,
    )


def _gguf_adapter(task: ExportTask) -> ExportUsage:
    task.copy("adapter.gguf", "chat_template.jinja")
    return ExportUsage(
        "llama-server -m BASE.gguf --lora adapter.gguf --jinja --chat-template-file chat_template.jinja"
    )


def _merged(task: ExportTask) -> ExportUsage:
    merged = merge(
        MergeJob(
            weights=task.base(),
            adapter_path=task.adapter.path,
            target=str(task.folder),
        )
    )
    return ExportUsage(
        f"""python -c "from transformers import pipeline; pipeline('text-generation', '{task.folder.stem}')\"""",
        merged.changed,
    )


def _gguf(task: ExportTask, name: str | None = None) -> ExportUsage:
    quantization = task.quantization or "Q8_0"
    direct = quantization in QUANTIZATIONS
    program = native.quantize(task.project.settings.home)
    if not direct and program is None:
        known(quantization)
        raise UsageError(
            f"{quantization} needs llama.cpp's llama-quantize",
            hint="freehold engines install llamacpp builds it; without it: " + ", ".join(QUANTIZATIONS),
        )
    target = task.folder / (name or f"{task.name}-{quantization}.gguf")
    first = target if direct else task.folder / "merged-F16.gguf"
    merged = merge(
        MergeJob(
            weights=task.base(),
            adapter_path=task.adapter.path,
            target=str(first),
            quantization=quantization if direct else "F16",
        )
    )
    if not direct:
        assert program is not None
        try:
            made.run_quantize(program, first, target, quantization)
        finally:
            first.unlink()
    return ExportUsage(f"llama-server -m {target.name} --jinja", merged.changed)


def _ollama(task: ExportTask) -> ExportUsage:
    """With a quantization: the merged model. Without: the base as it is and the adapter next to it."""
    weights = task.base()
    changed, adapter = 0, None
    if task.quantization is not None:
        source = f"{task.name}-{task.quantization}.gguf"
        changed = _gguf(task, source).changed
    else:
        if weights.format != "gguf" or weights.path is None:
            raise UsageError(
                f"Ollama's base is a GGUF file; {weights.model_id} is {weights.format}",
                hint="export --as merged: ollama create reads a safetensors folder of some architectures",
            )
        source = Path(weights.path).name
        _link(Path(weights.path), task.folder / source)
        task.copy("adapter.gguf")
        adapter = "./adapter.gguf"
    template, stops, notes = _ollama_template(task)
    comment = None
    if task.adapter.call_format == "tagged":
        comment = TAGGED + " This TEMPLATE writes conversations without tools only."
        notes = (*notes, "Ollama's template here has no tools: serve calls with llama.cpp or vLLM.")
    text = modelfile(
        f"./{source}",
        adapter=adapter,
        template=template,
        stops=stops,
        context=task.project.config.serve.context_tokens,
        comment=comment,
    )
    (task.folder / "Modelfile").write_text(text, encoding="utf-8")
    return ExportUsage(f"ollama create {task.name} -f Modelfile", changed, notes)


def _ollama_template(task: ExportTask) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Template, stop texts, and what a person must know about them."""
    import jinja2.sandbox

    text = task.source("chat_template.jinja").read_text(encoding="utf-8")
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    special = task.adapter.metadata.get("special_tokens")
    tokens = {name: str(value) for name, value in special.items()} if isinstance(special, dict) else {}

    def refuse(message: str) -> None:
        raise ValueError(message)

    compiled = environment.from_string(text)

    def render(chat: list[dict[str, str]], asked: bool) -> str:
        return compiled.render(
            messages=chat, add_generation_prompt=asked, raise_exception=refuse, tools=None, **tokens
        )

    pieces = infer_pieces(render)
    if pieces is None:
        return (
            None,
            (),
            (
                "The chat template can't be written in Ollama's language: Ollama will look for one of its own like "
                "the one in the GGUF. Compare answers with `freehold parity` before relying on it.",
            ),
        )
    # What ends an answer, without line ends that only separate.
    stop = pieces.around["assistant"][1].strip() or tokens.get("eos_token", "")
    return go_template(pieces), ((stop,) if stop else ()), ()


def _link(source: Path, target: Path) -> None:
    """The same file where the disk can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _vllm(task: ExportTask) -> ExportUsage:
    merged = _merged(task)
    context = task.project.config.serve.context_tokens
    lines = ["model: .", f"served-model-name: {task.name}", f"max-model-len: {context}", "dtype: auto"]
    if task.adapter.call_format == "tagged":
        lines += ["enable-auto-tool-choice: true", "tool-call-parser: hermes"]
    (task.folder / "vllm.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ExportUsage("vllm serve --config vllm.yaml", merged.changed)


WRITERS: dict[Kind, Callable[[ExportTask], ExportUsage]] = {
    "peft": _peft,
    "merged": _merged,
    "gguf-adapter": _gguf_adapter,
    "gguf": _gguf,
    "ollama": _ollama,
    "vllm": _vllm,
}
