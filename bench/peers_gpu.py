#!/usr/bin/env python3
"""Training steps, or products, on a GPU beside PyTorch: eager, with its compiler, and a step captured in a CUDA graph; true f32 but for tf32.

Usage: peers_gpu.py BENCH_TRAIN|BENCH_DEVICE [--rounds N] [--filter TEXT] [--out FOLDER]
"""
import torch
from torch import nn

from peers import lazily, main, seconds

IMAGES = 60_000
NETS = {"784-256-10": ((784, 256, 10), 64, 190), "784-512-256-10": ((784, 512, 256, 10), 256, 25)}  # sizes, batch, steps
KINDS = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16, "tf32": torch.float32}
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False  # halves are summed in f32
torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
CUDA = torch.device("cuda")


def timed(run, times):
    torch.cuda.synchronize()
    return seconds(lambda: ([run(i) for i in range(times)], torch.cuda.synchronize()) and None) / times


def training(sizes, batch, steps, how):
    captured = how == "graph"
    pixels, labels = torch.rand(IMAGES, 784, device=CUDA), torch.randint(0, 10, (IMAGES,), device=CUDA)
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    model = nn.Sequential(*layers).to(CUDA)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=captured)
    loss_of = nn.CrossEntropyLoss()
    forward = torch.compile(model) if how == "compile" else model
    order = torch.randperm(IMAGES, device=CUDA)
    rows = order[:batch].clone()

    def step():
        adam.zero_grad(set_to_none=True)
        loss = loss_of(forward(pixels[rows]), labels[rows])
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


def product(kind, rows, n):
    a, b = (torch.randn(size, n, dtype=KINDS[kind], device=CUDA) for size in (rows, n))
    out = torch.empty_like(a)
    times = int(min(max(2e11 / (2 * rows * n**2), 1), 200))

    def run():
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        taken = timed(lambda _: torch.mm(a, b, out=out), times)
        torch.backends.cuda.matmul.allow_tf32 = False
        return taken

    return run


def can_compile():
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2, device=CUDA))
        return True
    except Exception as error:  # it needs a C compiler and Triton
        print(f"PyTorch's compiler is skipped: {str(error).splitlines()[0]}")
        return False


def peers(ours):
    compiles = can_compile()
    for net, shape in NETS.items():
        least = (10, 1.5) if net == "784-256-10" else (None, None)
        eager, compiled, graph = (lazily(lambda s=shape, h=how: training(*s, h)) for how in ("eager", "compile", "graph"))
        yield f"{net}/eager", "PyTorch eager", eager, None
        yield f"{net}/compiled", "PyTorch eager", eager, least[0]
        if compiles:
            yield f"{net}/compiled", "PyTorch compile", compiled, None
        yield f"{net}/compiled", "PyTorch CUDA graph", graph, least[1]
    for kind in KINDS:
        for n in (256, 512, 1024, 2048, 4096, 8192):
            yield f"gemm/{kind}/{n}", "PyTorch", lazily(lambda k=kind, n=n: product(k, n, n)), None
        yield f"row/{kind}/8192", "PyTorch", lazily(lambda k=kind: product(k, 1, 8192)), None


if __name__ == "__main__":
    main(__doc__, lambda ours: [peer for peer in peers(ours) if peer[0] in ours.amounts],
         {"PyTorch": torch.__version__, "GPU": torch.cuda.get_device_name()}, ("--device", "cuda"))
