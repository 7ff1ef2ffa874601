#!/usr/bin/env python3
"""Training steps beside PyTorch (eager, fused Adam, compiled) and JAX (a jit for each step, a scan over many).

Usage: peers_train.py BENCH_TRAIN [--rounds N] [--threads N] [--json FILE]
All gather their batches by random index from 60,000 images of 784 numbers, and use Adam. Run it in a processor set of as many
processors as threads: JAX takes its number of threads from that.
"""
import argparse
import os
import time

import jax
import jax.numpy as jnp
import numpy
import torch
from torch import nn

from peers import Ours, compare, report

IMAGES = 60_000
NETS = {"784-256-10": ((784, 256, 10), 64, 500), "784-512-256-10": ((784, 512, 256, 10), 256, 100)}  # sizes, batch, steps
RNG = numpy.random.default_rng(1)
PIXELS = RNG.random((IMAGES, 784), dtype=numpy.float32)
LABELS = RNG.integers(0, 10, IMAGES)


def rows(batch, steps):
    """Indices of that many batches, in a random order."""
    return numpy.resize(RNG.permutation(IMAGES), (steps, batch))


def torch_steps(sizes, batch, steps, fused, compiled):
    """A call that runs the steps and returns the seconds of one."""
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1]
    model = nn.Sequential(*layers)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    loss_of = nn.CrossEntropyLoss()
    pixels, labels = torch.from_numpy(PIXELS), torch.from_numpy(LABELS)

    def step(x, y):
        adam.zero_grad(set_to_none=True)
        loss = loss_of(model(x), y)
        loss.backward()
        adam.step()
        return loss

    step = torch.compile(step) if compiled else step

    def run():
        order = torch.from_numpy(rows(batch, steps))
        start = time.perf_counter()
        for index in order:
            step(pixels[index], labels[index])
        return (time.perf_counter() - start) / steps

    run()
    return run


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


def peers(threads):
    """(our case, peer, what the peer does, the least ratio we want)"""
    least = {("784-256-10", 2): (3.0, 1.4), ("784-512-256-10", 2): (2.5, 1.25),
             ("784-256-10", 1): (2.8, 1.3), ("784-512-256-10", 1): (2.5, 1.2)}
    for net, shape in NETS.items():
        of_torch, of_jax = least.get((net, threads), (None, None))
        eager, fused = torch_steps(*shape, False, False), torch_steps(*shape, True, False)
        yield f"{net}/eager", "torch eager", eager, None
        yield f"{net}/eager", "torch fused", fused, 2 if net == "784-256-10" else None
        yield f"{net}/compiled", "torch fused", fused, of_torch
        yield f"{net}/compiled", "torch compile", torch_steps(*shape, True, True), of_torch
        yield f"{net}/compiled", "jax jit", jax_steps(*shape, False), None
        yield f"{net}/compiled", "jax scan", jax_steps(*shape, True), of_jax


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = {"torch": torch.__version__, "jax": jax.__version__, "threads": options.threads}
    ours = Ours(options.program, "--threads", options.threads)
    # Threads of what ran before may still spin.
    found = compare(ours, peers(options.threads), options.rounds, lambda: time.sleep(0.02))
    report(versions, list(found), options.json)


if __name__ == "__main__":
    main()
