"""How vLLM splits a model over several accelerators, and over how many it can.

Tensor parallel gives each device a part of every layer, which needs heads and widths that divide; pipeline parallel
gives each device whole layers. The rules follow vLLM: attention heads must be divisible
(``verify_with_parallel_config``), key and value heads are divided or copied (``QKVParallelLinear``), the width of a
part must be whole blocks of a quantization (its error "output_size … is not divisible by weight quantization
block_n"). Expert parallel goes round that: it gives each device whole experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from freehold.types.model import Shape

NODE_DEVICES = 8
"""Accelerators of one node: tensors are not split across nodes, whose links are slower."""
BLOCK_WIDTHS: dict[str, int] = {"FP8": 128, "AWQ": 128, "GPTQ": 128, "INT4": 32}
"""Numbers of a weight that share a scale, along the width that is split (MXFP4 is padded by the engine)."""


class Layout(NamedTuple):
    """Devices that hold a part of each layer, times devices that hold some of the layers. `experts`: whole experts are
    given to devices, since their widths cannot be split."""

    tensor: int = 1
    pipeline: int = 1
    experts: bool = False

    @property
    def devices(self) -> int:
        return self.tensor * self.pipeline

    @property
    def options(self) -> str:
        """The options of ``vllm serve``; empty for one device."""
        said = f"--tensor-parallel-size {self.tensor}" if self.tensor > 1 else ""
        said += f" --pipeline-parallel-size {self.pipeline}" if self.pipeline > 1 else ""
        return (said + (" --enable-expert-parallel" if self.experts else "")).strip()


ONE_DEVICE = Layout()


def tensor_layout(shape: Shape, size: int, form: str) -> Layout | None:
    """The layout that splits every tensor over `size` devices; None where the shape does not divide."""
    if size == 1:
        return Layout()
    if shape.heads % size or not _divides(shape.kv_heads, size, copies=shape.latent is None):
        return None
    recurrent = shape.recurrent
    if recurrent is not None and recurrent.heads % size:
        return None
    block = BLOCK_WIDTHS.get(form, 1)
    if shape.ffn and shape.ffn % (size * block):
        return None
    experts = shape.experts
    if experts is None or experts.ffn % (size * block) == 0:
        return Layout(size)
    return Layout(size, experts=True) if experts.count % size == 0 else None


def _divides(heads: int, size: int, *, copies: bool) -> bool:
    """Key and value heads are divided among devices, or each is copied to several."""
    return heads % size == 0 or (copies and size % max(1, heads) == 0)


def layout(shape: Shape, devices: int, form: str) -> Layout:
    """How this many devices are used: tensors split as far as they divide within a node, layers over the rest."""
    for size in range(min(devices, NODE_DEVICES), 0, -1):
        found = tensor_layout(shape, size, form) if devices % size == 0 else None
        if found is not None:
            return found._replace(pipeline=devices // size)
    return Layout(pipeline=devices)


def usual_layouts(shape: Shape, form: str, most: int) -> Iterator[Layout]:
    """Layouts people run, smallest first: tensors split within one node, then whole nodes one after the other."""
    whole = Layout()
    for size in range(1, min(most, NODE_DEVICES) + 1):
        found = tensor_layout(shape, size, form)
        if found is not None:
            whole = found
            yield found
    for nodes in range(2, most // NODE_DEVICES + 1):
        if whole.tensor == NODE_DEVICES:
            yield whole._replace(pipeline=nodes)
