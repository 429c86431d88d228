"""The arithmetic of a training step: attention, loss, fused and native kernels, the optimizer."""
