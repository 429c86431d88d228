"""Loading a base model for training: a GGUF file (the numbers that are served) or a safetensors folder."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freehold.errors import MissingExtraError, TrainingError, WeightsError
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights

if TYPE_CHECKING:
    import torch


class Base(NamedTuple):
    """A loaded base. `architecture` is llama.cpp's name for it (``general.architecture``), None when unknown.

    `weight_bytes` is what its weights take in memory.
    """

    model: Any
    tokenizer: Any
    architecture: str | None
    dtype: torch.dtype
    device: str
    weight_bytes: int


class Precision(NamedTuple):
    """The number format that is trained in, and why."""

    name: str
    reason: str


def require() -> None:
    """Raise `MissingExtraError` when a library of the extra ``train`` is missing."""
    import importlib.util

    for module in ("torch", "transformers", "peft", "safetensors", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("training", "train")


def choose_device() -> str:
    """``cuda`` where there is one, ``mps`` on Apple silicon, else ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def choose_precision(device: str) -> Precision:
    """bf16 where the machine multiplies it at least as fast as fp32, else fp32."""
    import torch

    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return (
            Precision("bf16", "CUDA device with bf16") if fast else Precision("fp32", "no bf16 on this GPU")
        )
    if device == "cpu":
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch ≥ 2.10
        for key, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16"), ("bf16", "Arm BF16")):
            if capabilities.get(key):
                return Precision("bf16", f"CPU with {name}")
    return Precision("fp32", f"no fast bf16 on this {device}")


def load_tokenizer(weights: Weights) -> Any:
    """The base's tokenizer with its own chat template. Raises `WeightsError`."""
    from transformers import AutoTokenizer

    with _reading(weights) as (folder, arguments):
        tokenizer = AutoTokenizer.from_pretrained(folder, **arguments)
    if weights.chat_template is not None:
        tokenizer.chat_template = weights.chat_template
    return tokenizer


def load(weights: Weights, config: FinetuneConfig, *, exact: bool = False) -> Base:
    """Load weights frozen, in float32 where `exact`, else in the precision that is trained in.

    A GGUF is dequantized tensor by tensor by transformers, so training sees the numbers that llama.cpp
    computes with. Raises `WeightsError` when the files are missing or of a kind that can't be read.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from freehold.training import attention

    device = choose_device()
    half = not exact and choose_precision(device).name == "bf16"
    dtype = torch.bfloat16 if half else torch.float32
    with parsed_once(), _reading(weights) as (folder, arguments):
        extra: dict[str, Any] = {}
        if "gguf_file" in arguments:
            from transformers import GgufConfig

            extra["quantization_config"] = GgufConfig(dequantize=True, gguf_file=arguments["gguf_file"])
        elif config.method == "qlora":
            extra |= _four_bit(dtype, device)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention.register(), **arguments, **extra
        )
        tokenizer, named = load_tokenizer(weights), architecture(weights, model)
    model.requires_grad_(False)
    model.config.use_cache = False
    if config.method == "qlora":
        _keep_differentiable(model)
    else:
        model.to(device)
    weight_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return Base(model, tokenizer, named, dtype, device, weight_bytes)


def check_method(weights: Weights, config: FinetuneConfig) -> None:
    """Raise `TrainingError` for a method that makes no sense for these weights."""
    if config.method == "qlora" and weights.format == "gguf":
        raise TrainingError(
            f"qlora would quantize {weights.model_id} a second time: its GGUF is quantized already",
            hint='method = "lora" trains a GGUF base against the same numbers that are served',
        )


def _four_bit(dtype: torch.dtype, device: str) -> dict[str, Any]:
    """NF4 with double quantization (Dettmers et al. 2023, arXiv:2305.14314), for `from_pretrained`."""
    import importlib.util

    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("QLoRA", "qlora")
    import transformers

    make: Any = transformers.BitsAndBytesConfig
    return {
        "device_map": device,
        "quantization_config": make(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
    }


def _keep_differentiable(model: Any) -> None:
    """Keep bitsandbytes from repacking weights for inference on CPUs with AVX512-BF16.

    It does so at the first forward pass without a gradient (an evaluation), for good; the product over repacked weights
    has no gradient, so every later step would learn from a wrong one, with a warning at most.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def architecture(weights: Weights, model: Any) -> str | None:
    """llama.cpp's name for the architecture: from the GGUF's metadata, else by the model class."""
    if weights.format == "gguf":
        from gguf import GGUFReader

        field = GGUFReader(str(weights.path)).get_field("general.architecture")
        return None if field is None else str(field.contents())
    return _ARCHITECTURES.get(str((model.config.architectures or [""])[0]))


# Only classes whose tensor layout the GGUF export knows; llama.cpp calls Mistral "llama" too.
_ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3",
    "Phi3ForCausalLM": "phi3",
}


@contextlib.contextmanager
def _reading(weights: Weights) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the arguments of ``from_pretrained``; translate what it raises."""
    if weights.path is None or not Path(weights.path).exists():
        raise WeightsError(
            f"weights of {weights.model_id} are not at {weights.path or 'any known place'}",
            hint=f"freehold models pull {weights.model_id}",
        )
    path = Path(weights.path)
    arguments: dict[str, Any] = {"local_files_only": True}
    if weights.format == "gguf":
        arguments["gguf_file"] = path.name
        path = path.parent
    elif path.is_file():
        path = path.parent
    try:
        yield str(path), arguments
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"cannot read {weights.format} weights of {weights.model_id} at {weights.path}: {first}",
            hint="training reads GGUF files and safetensors folders of architectures transformers knows",
        ) from error
    except ImportError as error:
        raise TrainingError(
            f"loading {weights.model_id}: {error}", hint="pip install 'freehold[train]'"
        ) from error


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """Within the block, a `gguf.GGUFReader` of a file that was read before is the same reader.

    Readers map the file read-only and are not changed by those who use them. Not for threads: the name in the
    library is replaced until the block ends.
    """
    library: Any = importlib.import_module("gguf")
    original = library.GGUFReader
    readers: dict[Path, Any] = {}

    def reader(path: Any, mode: str = "r") -> Any:
        if mode != "r":
            return original(path, mode)
        place = Path(path).resolve()
        if place not in readers:
            readers[place] = original(path, mode)
        return readers[place]

    library.GGUFReader = reader
    try:
        yield
    finally:
        library.GGUFReader = original
