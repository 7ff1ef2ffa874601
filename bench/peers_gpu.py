#!/usr/bin/env python3
"""Training steps and products on a GPU beside PyTorch: eager, and a step captured in a CUDA graph; true f32.

Usage: peers_gpu.py BIN [--rounds N] [--json FILE]     BIN has bench_train and bench_device
"""
import argparse
import time

import torch
from torch import nn

from peers import Ours, compare, report

IMAGES = 60_000
NETS = {"784-256-10": ((784, 256, 10), 64, 190), "784-512-256-10": ((784, 512, 256, 10), 256, 25)}  # sizes, batch, steps
torch.backends.cuda.matmul.allow_tf32 = False
CUDA = torch.device("cuda")
PIXELS = torch.rand(IMAGES, 784, device=CUDA)
LABELS = torch.randint(0, 10, (IMAGES,), device=CUDA)


def timed(run, times):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for i in range(times):
        run(i)
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def training(sizes, batch, steps, captured):
    """A call that runs the steps and returns the seconds of one."""
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    model = nn.Sequential(*layers).to(CUDA)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=captured)
    loss_of = nn.CrossEntropyLoss()
    order = torch.randperm(IMAGES, device=CUDA)
    rows = order[:batch].clone()

    def step():
        adam.zero_grad(set_to_none=True)
        loss = loss_of(model(PIXELS[rows]), LABELS[rows])
        loss.backward()
        adam.step()
        return loss

    run = step
    if captured:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay

    def one(i):
        at = i * batch % (IMAGES - batch)
        rows.copy_(order[at:at + batch])
        run()

    one.owner = step  # a replayed graph uses the model's memory without owning it
    timed(one, 3)
    return lambda: timed(one, steps)


def product(dtype, n):
    a, b = torch.randn(n, n, dtype=dtype, device=CUDA), torch.randn(n, n, dtype=dtype, device=CUDA)
    out = torch.empty_like(a)
    times = int(min(max(2e11 / (2 * n**3), 1), 200))
    return lambda: timed(lambda _: torch.mm(a, b, out=out), times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    steps = Ours(f"{options.bin}/bench_train", "--device", "cuda")
    products = Ours(f"{options.bin}/bench_device", "--device", "cuda", "--filter", "gemm")
    peers = []
    for net, shape in NETS.items():
        peers.append((f"{net}/eager", "torch eager fused", training(*shape, False), None))
        peers.append((f"{net}/compiled", "torch eager fused", training(*shape, False), 10 if net == "784-256-10" else None))
        peers.append((f"{net}/compiled", "torch CUDA graph", training(*shape, True), 1.5 if net == "784-256-10" else None))
    rows = list(compare(steps, peers, options.rounds))
    kinds = {"f32": torch.float32, "f64": torch.float64}
    sizes = [(kind, n) for kind in kinds for n in (256, 512, 1024, 2048, 4096)]
    rows += compare(products, [(f"gemm/{kind}/{n}", "torch mm", product(kinds[kind], n), None) for kind, n in sizes], 3)
    report({"torch": torch.__version__, "gpu": torch.cuda.get_device_name()}, rows, options.json)


if __name__ == "__main__":
    main()
