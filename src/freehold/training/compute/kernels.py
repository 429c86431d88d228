"""The element-wise work of a step as compiled loops (``kernels.c``), where the machine has a C compiler.

`load` compiles them once a process, in about two seconds, for this processor; without a compiler, on
other devices and in other number formats everything is computed by PyTorch.

One vector makes the optimizer, the clipping of gradients and the checkpoint one operation each instead of
hundreds. PEFT's own parameters become views, so PEFT saves what was trained without a copy.

The loops compute in float32 and round once.

RMS norm (Zhang & Sennrich 2019, arXiv:1910.07467) with ``n = x / rms(x)``: ``dx = (w dn − n mean(w dn · n)) /
rms(x)``. SwiGLU (Shazeer 2020, arXiv:2002.05202). Rotary embedding (Su et al. 2021, arXiv:2104.09864).

With a vocabulary of 49k and more, the logits of all positions would be the largest tensor of a step by far.
Here only target positions are projected, a chunk at a time, and the gradient of the hidden states is made
while the chunk's logits are at hand, so nothing of vocabulary size outlives its chunk.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional

# No -ffast-math: linked into a library it changes how the whole process treats tiny numbers.
_FLAGS = (
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
    "-freciprocal-math", "-fopenmp", "-shared", "-fPIC",
)  # fmt: skip
WIDEST_HEAD = 1024  # `scatter` sums a head's prefix in a buffer of this size.


class NativeKernels:
    """The compiled loops. Arrays are contiguous bfloat16 on the CPU unless said otherwise."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        """Call a loop: tensors go as pointers (None as NULL), whole numbers as 64 bits, floats as 32."""
        given: list[Any] = []
        for argument in arguments:
            if isinstance(argument, torch.Tensor):
                given.append(ctypes.c_void_p(argument.data_ptr()))
            elif argument is None:
                given.append(ctypes.c_void_p(None))
            elif isinstance(argument, float):
                given.append(ctypes.c_float(argument))
            else:
                given.append(ctypes.c_int64(argument))
        getattr(self._library, name)(*given, ctypes.c_int(torch.get_num_threads()))


@functools.cache
def load() -> NativeKernels | None:
    """Compile and load; None where that does not work."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None or os.name != "posix":
        return None
    source = Path(__file__).with_name("kernels.c")
    native = ["-march=native"] if platform.machine() in ("x86_64", "AMD64") else ["-mcpu=native"]
    if native == ["-march=native"] and torch.cpu.get_capabilities().get("avx512_f"):
        native.append("-mprefer-vector-width=512")
    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:
        target = Path(folder) / "kernels.so"
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [compiler, *_FLAGS, *native, str(source), "-o", str(target), "-lm"],
                check=True,
                capture_output=True,
                timeout=120,
            )
            return NativeKernels(ctypes.CDLL(str(target)))
    return None


def for_tensors(*tensors: torch.Tensor) -> NativeKernels | None:
    """The compiled loops when they can work on these tensors, else None."""
    if all(x.dtype == torch.bfloat16 and x.device.type == "cpu" for x in tensors):
        return load()
    return None


def differentiable(function: Any, *arguments: Any) -> torch.Tensor:
    """Apply an `autograd.Function` that has one result (PyTorch leaves `apply` without types)."""
    result: torch.Tensor = function.apply(*arguments)
    return result


class View(NamedTuple):
    """One parameter: its value and its gradient, views of the flat vectors."""

    value: torch.Tensor
    gradient: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        return self.value.shape


class Parameters:
    """All trainable parameters of a model, moved into `flat`; their gradients gather in `gradient`."""

    def __init__(self, model: Any) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        total = sum(p.numel() for _, p in named)
        device = named[0][1].device
        self.flat = torch.nn.Parameter(torch.empty(total, dtype=torch.float32, device=device))
        self.gradient = torch.zeros_like(self.flat)
        self.flat.grad = self.gradient
        self._views: dict[int, View] = {}
        self.slices: dict[str, tuple[int, int]] = {}
        at = 0
        for name, parameter in named:
            end = at + parameter.numel()
            view = View(
                self.flat.detach()[at:end].view(parameter.shape), self.gradient[at:end].view(parameter.shape)
            )
            view.value.copy_(parameter.detach())
            parameter.data = view.value
            parameter.grad = view.gradient
            self._views[id(parameter)] = view
            self.slices[name] = (at, end)
            at = end

    def view(self, parameter: Any) -> View:
        return self._views[id(parameter)]

    def zero_gradient(self) -> None:
        self.gradient.zero_()


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of rows, and 1/rms of each, float32 (rows, 1)."""
    native = for_tensors(x, weight)
    if native is not None:
        out, inverse = torch.empty_like(x), x.new_empty(x.shape[0], 1, dtype=torch.float32)
        native.call("rms_norm", x, weight, out, inverse, *x.shape, float(eps))
        return out, inverse
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    inverse = torch.rsqrt(norm.square_().div_(x.shape[-1]).add_(eps))
    return (x * inverse).to(x.dtype).mul_(weight), inverse


def rms_norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor,
    onto: torch.Tensor | None,
) -> torch.Tensor:
    """Gradient of the norm for `x`, added to `onto`."""
    native = for_tensors(grad, x, weight)
    if native is not None:
        out = torch.empty_like(x)
        onto = None if onto is None else onto.contiguous()
        native.call("rms_norm_backward", grad, x, inverse, weight, onto, out, *x.shape)
        return out
    slope = (grad * weight).float()
    shape = x * inverse
    along = (slope * shape).mean(dim=-1, keepdim=True)
    slope.addcmul_(shape, along, value=-1).mul_(inverse)
    return slope.to(x.dtype) if onto is None else slope.add_(onto).to(x.dtype)


def swiglu(both: torch.Tensor) -> torch.Tensor:
    """``silu(gate) · up`` of (rows, gate | up)."""
    rows, width = both.shape[0], both.shape[1] // 2
    native = for_tensors(both)
    if native is not None:
        out = both.new_empty(rows, width)
        native.call("swiglu", both, out, rows, width)
        return out
    gate, up = both.chunk(2, dim=1)
    return functional.silu(gate).mul_(up)


def swiglu_backward(grad: torch.Tensor, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient for `both`, and `swiglu` of it again."""
    out, inner = torch.empty_like(both), torch.empty_like(grad)
    native = for_tensors(grad, both)
    if native is not None:
        native.call("swiglu_backward", grad, both, out, inner, *grad.shape)
        return out, inner
    gate, up = both.chunk(2, dim=1)
    d_gate, d_up = out.chunk(2, dim=1)
    active = functional.silu(gate)
    torch.mul(grad, active, out=d_up)
    torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=d_gate)
    return out, torch.mul(active, up, out=inner)


def rotate_(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, turned: int, *, back: bool) -> None:
    """Turn the first `turned` heads of (rows, heads, width) in place, or back; cos and sin are (rows, width / 2)."""
    half = x.shape[-1] // 2
    native = for_tensors(x, cos, sin)
    if native is not None:
        native.call("rotate", x, cos, sin, x.shape[0], x.shape[1], turned, half, -1.0 if back else 1.0)
        return
    cos, sin = cos[:, None], (-sin if back else sin)[:, None]
    first, second = x[:, :turned, :half], x[:, :turned, half:]
    turned_first = (first * cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(first, sin)
    first.copy_(turned_first)


def cross_entropy_(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Make logits their gradient in place; returns −log p(target) and whether it is the most likely, per row.

    None where no loops are compiled for them.
    """
    native = for_tensors(logits)
    if native is None:
        return None
    loss = logits.new_empty(logits.shape[0], dtype=torch.float32)
    right = logits.new_empty(logits.shape[0], dtype=torch.bool)
    native.call("cross_entropy", logits, targets, loss, right, *logits.shape)
    return loss, right


# Logits of a chunk: 256 rows × 49k vocabulary × 4 bytes are 50 MB.
_CHUNK_ROWS = 256
# The last chunk is filled up, so that few shapes are met (see `freehold.training.compute.packing`).
_ROW_MULTIPLE = 32


def _logits(chunk: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Logits of rows, filled up with zeros' logits."""
    return functional.pad(chunk, (0, 0, 0, -chunk.shape[0] % _ROW_MULTIPLE)) @ weight.t()


def _cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per row and the gradient of the logits, with PyTorch's operations."""
    logits = logits.float()
    if softcap is not None:
        logits = torch.tanh(logits / softcap).mul_(softcap)
    wanted = targets[:, None]
    log_sum = torch.logsumexp(logits, dim=1, keepdim=True)
    loss = log_sum - logits.gather(1, wanted)
    slope = torch.exp(logits - log_sum)
    slope.scatter_add_(1, wanted, slope.new_full(wanted.shape, -1.0))
    if softcap is not None:  # d cap·tanh(z/cap) / dz = 1 − tanh²
        slope.mul_(1 - (logits / softcap).square_())
    return loss[:, 0], slope


class ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of −log p(target) over rows: hidden (rows, width), head weight (vocabulary, width), targets (rows,)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        softcap: float | None,
    ) -> torch.Tensor:
        grad = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for begin in range(0, hidden.shape[0], _CHUNK_ROWS):
            rows = slice(begin, begin + _CHUNK_ROWS)
            logits, count = _logits(hidden[rows], weight), hidden[rows].shape[0]
            judged = None if softcap is not None else cross_entropy_(logits[:count], targets[rows])
            if judged is None:
                loss, slope = _cross_entropy(logits[:count], targets[rows], softcap)
                slope = functional.pad(slope.to(weight.dtype), (0, 0, 0, -count % _ROW_MULTIPLE))
            else:
                loss, slope = judged[0], logits
            total += loss.sum()
            grad[rows] = (slope @ weight)[:count]
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grads[0].to(grad.dtype), None, None, None


def cross_entropy_sum(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    *,
    softcap: float | None = None,
) -> torch.Tensor:
    """Summed cross-entropy in nats, float32; differentiable in `hidden` only (the head is frozen)."""
    return differentiable(ChunkedCrossEntropy, hidden, weight, targets, softcap)


def judge(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, *, softcap: float | None = None
) -> tuple[float, torch.Tensor]:
    """Summed cross-entropy, and for each row whether its target is the most likely token; no gradient."""
    total = 0.0
    right = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    with torch.no_grad():
        for begin in range(0, hidden.shape[0], _CHUNK_ROWS):
            rows = slice(begin, begin + _CHUNK_ROWS)
            logits = _logits(hidden[rows], weight)[: hidden[rows].shape[0]]
            judged = None if softcap is not None else cross_entropy_(logits, targets[rows])
            if judged is None:
                best = logits.argmax(dim=1) == targets[rows]
                judged = _cross_entropy(logits, targets[rows], softcap)[0], best
            total += float(judged[0].sum())
            right[rows] = judged[1]
    return total, right
