#!/usr/bin/env python3
"""Training steps beside PyTorch (eager, fused Adam, compiled) and JAX (a jit for each step, a scan over many).

Usage: peers_train.py BENCH_TRAIN [--rounds N] [--filter TEXT] [--out FOLDER]
The networks gather their batches by random index from 60,000 images of 784 numbers, the blocks have one batch; all use Adam.
"""
import time

import jax
import jax.numpy as jnp
import numpy
import torch
from torch import nn
from torch.nn import functional

from peers import THREADS, lazily, main

torch.set_flush_denormal(True)  # as varve and JAX have it: else Intel processors take three times as long

IMAGES = 60_000
NETS = {"784-256-10": ((784, 256, 10), 64, 500), "784-512-256-10": ((784, 512, 256, 10), 256, 100)}  # sizes, batch, steps
RNG = numpy.random.default_rng(1)
PIXELS = RNG.random((IMAGES, 784), dtype=numpy.float32)
LABELS = RNG.integers(0, 10, IMAGES)


def rows(batch, steps):
    """Indices of that many batches, in a random order."""
    return numpy.resize(RNG.permutation(IMAGES), (steps, batch))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(512, 512), nn.Linear(512, 512)

    def forward(self, x):
        return functional.relu(x + self.second(functional.relu(functional.layer_norm(self.first(x), (512,)))))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(256, 3 * 256), nn.Linear(256, 256)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, 8, width // 8).permute(2, 0, 3, 1, 4)
        return x + self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))


def torch_steps(model, loss_of, batches, fused, compiled):
    """A call that runs a step on each of batches(), inputs and a way to gather them, and returns the seconds of one."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def step(x, y):
        adam.zero_grad(set_to_none=True)
        loss = loss_of(model(x), y)
        loss.backward()
        adam.step()
        return loss

    step = torch.compile(step) if compiled else step

    def run():
        items, gathered = batches()
        start = time.perf_counter()
        for item in items:
            step(*gathered(item))
        return (time.perf_counter() - start) / len(items)

    run()
    return run


def torch_net(sizes, batch, steps, fused, compiled):
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    pixels, labels = torch.from_numpy(PIXELS), torch.from_numpy(LABELS)
    batches = lambda: (torch.from_numpy(rows(batch, steps)), lambda index: (pixels[index], labels[index]))
    return torch_steps(nn.Sequential(*layers), nn.CrossEntropyLoss(), batches, fused, compiled)


def torch_block(block, shape, steps, compiled):
    data = torch.randn(shape), torch.randn(shape)
    return torch_steps(block(), functional.mse_loss, lambda: (range(steps), lambda _: data), True, compiled)


def jax_steps(sizes, batch, steps, scan):
    pixels, labels = jnp.array(PIXELS), jnp.array(LABELS)

    def forward(parameters, x):
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            if i < len(parameters) - 1:
                x = jax.nn.relu(x)
        return x

    def loss_of(parameters, x, y):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(forward(parameters, x)), y[:, None], 1))

    def step(state, index):
        parameters, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(parameters, pixels[index], labels[index])
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, root = 1e-3 / (1 - 0.9**t), 1 - 0.999**t
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v / root) + 1e-8), parameters, m, v)
        return (parameters, m, v, t), loss

    keys = jax.random.split(jax.random.PRNGKey(0), len(sizes))
    parameters = [(jax.random.normal(k, (a, b)) * (1 / a) ** 0.5, jnp.zeros(b)) for k, a, b in zip(keys, sizes, sizes[1:])]
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    state = [(parameters, zeros(), zeros(), jnp.float32(0))]
    many = jax.jit(lambda state, order: jax.lax.scan(step, state, order), donate_argnums=0)
    one = jax.jit(step, donate_argnums=0)

    def run():
        order = jnp.array(rows(batch, steps))
        start = time.perf_counter()
        if scan:
            state[0], loss = many(state[0], order)
        else:
            for i in range(steps):
                state[0], loss = one(state[0], order[i])
        loss.block_until_ready()
        return (time.perf_counter() - start) / steps

    run()
    return run


def peers(ours):
    torch.set_num_threads(THREADS)
    least = {("784-256-10", 2): (3.0, 1.4), ("784-512-256-10", 2): (2.5, 1.25),
             ("784-256-10", 1): (2.8, 1.3), ("784-512-256-10", 1): (2.5, 1.2)}
    for net, shape in NETS.items():
        of_torch, of_jax = least.get((net, THREADS), (None, None))
        torch_way = lambda *way, shape=shape: lazily(lambda: torch_net(*shape, *way))
        jax_way = lambda scan, shape=shape: lazily(lambda: jax_steps(*shape, scan))
        fused = torch_way(True, False)
        yield f"{net}/eager", "PyTorch eager", torch_way(False, False), None
        yield f"{net}/eager", "PyTorch fused", fused, 2 if net == "784-256-10" else None
        yield f"{net}/compiled", "PyTorch fused", fused, of_torch
        yield f"{net}/compiled", "PyTorch compile", torch_way(True, True), of_torch
        yield f"{net}/compiled", "JAX jit", jax_way(False), None
        yield f"{net}/compiled", "JAX scan", jax_way(True), of_jax
    for name, block, shape, steps in (("residual", Residual, (256, 512), 15), ("attention", Attention, (8, 256, 256), 2)):
        way = lambda compiled, task=(block, shape, steps): lazily(lambda: torch_block(*task, compiled))
        fused, least_of = way(False), 1.8 if name == "attention" else None
        yield f"{name}/eager", "PyTorch fused", fused, None
        yield f"{name}/compiled", "PyTorch fused", fused, least_of
        yield f"{name}/compiled", "PyTorch compile", way(True), least_of


if __name__ == "__main__":
    main(__doc__, peers, {"PyTorch": torch.__version__, "JAX": jax.__version__})
