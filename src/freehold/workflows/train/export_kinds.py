"""What each kind of export consists of; `freehold.workflows.train.export` puts the card and the folder around it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from freehold.engines.llamacpp import native, requantize
from freehold.errors import UsageError
from freehold.hardware.quantization import known
from freehold.training.output.merge import merge
from freehold.training.output.merge_gguf import QUANTIZATIONS
from freehold.training.output.merge_job import MergeJob, Precision
from freehold.training.output.ollama_template import go_template, modelfile, read_off
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.training import Adapter
from freehold.workflows.project import Project

Kind = Literal["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Written(NamedTuple):
    """One kind's files (but for the card), and how to use them."""

    usage: str
    changed: int = 0
    notes: tuple[str, ...] = ()


class Work(NamedTuple):
    project: Project
    adapter: Adapter
    weights: Weights | None
    folder: Path
    quantization: str | None
    precision: Precision
    context_tokens: int | None
    progress: Progress

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
            whole = self.adapter.config.method == "full"
            why = ""
            if whole:
                why = ": all weights were trained, it is no adapter"
            elif self.adapter.config.use_dora:
                why = ": DoRA has no GGUF form"
            raise UsageError(
                f"{self.name} has no {name}{why}",
                hint="export --as merged, or --as gguf" if whole else "export --as merged",
            )
        return path

    def copy(self, *names: str) -> None:
        for name in names:
            shutil.copyfile(self.source(name), self.folder / name)


def _peft(work: Work) -> Written:
    work.copy("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")
    return Written(
        f"""python -c "from peft import AutoPeftModelForCausalLM as M; M.from_pretrained('{work.folder.stem}')\""""
    )


def _gguf_adapter(work: Work) -> Written:
    work.copy("adapter.gguf", "chat_template.jinja")
    return Written(
        "llama-server -m BASE.gguf --lora adapter.gguf --jinja --chat-template-file chat_template.jinja"
    )


def _merged(work: Work) -> Written:
    merged = merge(
        MergeJob(
            weights=work.base(),
            adapter_path=work.adapter.path,
            target=str(work.folder),
            precision=work.precision,
        )
    )
    return Written(
        f"""python -c "from transformers import pipeline; pipeline('text-generation', '{work.folder.stem}')\"""",
        merged.changed,
    )


def _gguf(work: Work, name: str | None = None) -> Written:
    quantization = work.quantization or "Q8_0"
    direct = quantization in QUANTIZATIONS
    program = native.quantize(work.project.settings.home)
    if not direct and program is None:
        known(quantization)
        raise UsageError(
            f"{quantization} needs llama.cpp's llama-quantize",
            hint="freehold engines install llamacpp --native builds it; without it: "
            + ", ".join(QUANTIZATIONS),
        )
    target = work.folder / (name or f"{work.name}-{quantization}.gguf")
    first = target if direct else work.folder / "merged-F16.gguf"
    merged = merge(
        MergeJob(
            weights=work.base(),
            adapter_path=work.adapter.path,
            target=str(first),
            quantization=quantization if direct else "F16",
        )
    )
    if not direct:
        assert program is not None
        try:
            requantize.run(program, first, target, quantization)
        finally:
            first.unlink()
    return Written(f"llama-server -m {target.name} --jinja", merged.changed)


def _ollama(work: Work) -> Written:
    """With a quantization: the merged model. Without: the base as it is with the adapter beside it."""
    weights = work.base()
    changed, adapter = 0, None
    if work.quantization is not None:
        source = f"{work.name}-{work.quantization}.gguf"
        changed = _gguf(work, source).changed
    else:
        if weights.format != "gguf" or weights.path is None:
            raise UsageError(
                f"Ollama's base is a GGUF file; {weights.model_id} is {weights.format}",
                hint="export --as merged: ollama create reads a safetensors folder of some architectures",
            )
        source = Path(weights.path).name
        _link(Path(weights.path), work.folder / source)
        work.copy("adapter.gguf")
        adapter = "./adapter.gguf"
    template, stops, notes = _ollama_template(work)
    text = modelfile(
        f"./{source}",
        adapter=adapter,
        template=template,
        stops=stops,
        context=work.context_tokens or work.project.config.serve.context_tokens,
    )
    (work.folder / "Modelfile").write_text(text, encoding="utf-8")
    return Written(f"ollama create {work.name} -f Modelfile", changed, notes)


def _ollama_template(work: Work) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Template, stop texts, and what a person must know about them."""
    import jinja2.sandbox

    text = work.source("chat_template.jinja").read_text(encoding="utf-8")
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    special = work.adapter.metadata.get("special_tokens")
    tokens = {name: str(value) for name, value in special.items()} if isinstance(special, dict) else {}

    def refuse(message: str) -> None:
        raise ValueError(message)

    compiled = environment.from_string(text)

    def render(chat: list[dict[str, str]], asked: bool) -> str:
        return compiled.render(
            messages=chat, add_generation_prompt=asked, raise_exception=refuse, tools=None, **tokens
        )

    pieces = read_off(render)
    if pieces is None:
        return (
            None,
            (),
            (
                "The chat template can't be said in Ollama's language: Ollama will look for one of its own like "
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


def _vllm(work: Work) -> Written:
    merged = _merged(work)
    context = work.context_tokens or work.project.config.serve.context_tokens
    lines = ["model: .", f"served-model-name: {work.name}", f"max-model-len: {context}", "dtype: auto"]
    (work.folder / "vllm.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Written("vllm serve --config vllm.yaml", merged.changed)


WRITERS: dict[Kind, Callable[[Work], Written]] = {
    "peft": _peft,
    "merged": _merged,
    "gguf-adapter": _gguf_adapter,
    "gguf": _gguf,
    "ollama": _ollama,
    "vllm": _vllm,
}
