#!/usr/bin/env python3
"""The update of Adam beside PyTorch's, fused.

Usage: peers_adam.py BENCH_ADAM [--rounds N] [--filter TEXT] [--out FOLDER]
"""
import torch

from peers import THREADS, lazily, main, seconds

torch.set_flush_denormal(True)  # as varve and JAX have it: else Intel processors take three times as long

SHAPES = {"32M": [(32_000_000,)], "784-256-10": [(256, 784), (256,), (10, 256), (10,)]}


def fused(shapes):
    parameters = [torch.nn.Parameter(torch.randn(shape) * 0.02) for shape in shapes]
    for p in parameters:
        p.grad = torch.randn(p.shape) * 0.01
    adam = torch.optim.Adam(parameters, fused=True)
    steps = 1 + 10_000_000 // sum(p.numel() for p in parameters)

    def run():
        return seconds(lambda: [adam.step() for _ in range(steps)] and None) / steps

    run()
    return run


def peers(ours):
    torch.set_num_threads(THREADS)
    for name, shapes in SHAPES.items():
        peer = lazily(lambda shapes=shapes: fused(shapes))
        for way in ("eager", "compiled"):
            yield f"{name}/{way}", "PyTorch fused", peer, 0.97 if name == "32M" else None


if __name__ == "__main__":
    main(__doc__, peers, {"PyTorch": torch.__version__})
