#!/usr/bin/env python3
"""Training steps, or products and Adam, on a GPU beside PyTorch: eager, and a step captured in a CUDA graph; true f32.

Usage: peers_gpu.py BENCH_TRAIN|BENCH_DEVICE [--rounds N] [--filter TEXT] [--out FOLDER]
"""
import torch
from torch import nn

from peers import lazily, main, seconds

IMAGES = 60_000
NETS = {"784-256-10": ((784, 256, 10), 64, 190), "784-512-256-10": ((784, 512, 256, 10), 256, 25)}  # sizes, batch, steps
KINDS = {"f32": torch.float32, "f64": torch.float64}
torch.backends.cuda.matmul.allow_tf32 = False
CUDA = torch.device("cuda")


def timed(run, times):
    torch.cuda.synchronize()
    return seconds(lambda: ([run(i) for i in range(times)], torch.cuda.synchronize()) and None) / times


def training(sizes, batch, steps, captured):
    pixels, labels = torch.rand(IMAGES, 784, device=CUDA), torch.randint(0, 10, (IMAGES,), device=CUDA)
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    model = nn.Sequential(*layers).to(CUDA)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=captured)
    loss_of = nn.CrossEntropyLoss()
    order = torch.randperm(IMAGES, device=CUDA)
    rows = order[:batch].clone()

    def step():
        adam.zero_grad(set_to_none=True)
        loss = loss_of(model(pixels[rows]), labels[rows])
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

    one.owner = step  # a graph uses the model's memory and does not own it
    timed(one, 3)
    return lambda: timed(one, steps)


def product(dtype, n):
    a, b = torch.randn(n, n, dtype=dtype, device=CUDA), torch.randn(n, n, dtype=dtype, device=CUDA)
    out = torch.empty_like(a)
    times = int(min(max(2e11 / (2 * n**3), 1), 200))
    return lambda: timed(lambda _: torch.mm(a, b, out=out), times)


def peers(ours):
    for net, shape in NETS.items():
        least = (10, 1.5) if net == "784-256-10" else (None, None)
        eager, graph = (lazily(lambda s=shape, c=captured: training(*s, c)) for captured in (False, True))
        yield f"{net}/eager", "PyTorch eager", eager, None
        yield f"{net}/compiled", "PyTorch eager", eager, least[0]
        yield f"{net}/compiled", "PyTorch CUDA graph", graph, least[1]
    for kind, dtype in KINDS.items():
        for n in (256, 512, 1024, 2048, 4096, 8192):
            yield f"gemm/{kind}/{n}", "PyTorch", lazily(lambda d=dtype, n=n: product(d, n)), None


if __name__ == "__main__":
    main(__doc__, lambda ours: [peer for peer in peers(ours) if peer[0] in ours.amounts],
         {"PyTorch": torch.__version__, "GPU": torch.cuda.get_device_name()}, ("--device", "cuda"))
