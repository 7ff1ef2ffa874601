#!/usr/bin/env python3
"""Computes tests/fixtures/*.txt with PyTorch, which the tests hold varve against.

Usage: fixtures.py [folder]. Each tensor is two lines: "name dtype sizes...", then its values, floats in hexadecimal.
"""
import pathlib
import sys

import torch
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "f64": torch.float64}
NAMES = {torch.float32: "f32", torch.float64: "f64", torch.int64: "i64"}


class Fixture:
    """A file being filled; numbers are drawn from one seeded generator, in double, and rounded to `dtype`."""

    def __init__(self, name):
        self.path = folder / f"{name}.txt"
        self.lines = []
        self.generator = torch.Generator().manual_seed(7)

    def add(self, name, tensor):
        tensor = tensor.detach()
        values = tensor.flatten().tolist()
        texts = [v.hex() if tensor.is_floating_point() else str(v) for v in values]
        self.lines.append(" ".join([name, NAMES[tensor.dtype], *map(str, tensor.shape)]))
        self.lines.append(" ".join(texts))

    def randn(self, name, *shape, dtype, scale=1.0):
        # Rounded to f32 first, so that f32 and f64 start from the same numbers.
        drawn = (torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale).float().to(dtype)
        self.add(name, drawn)
        return drawn.requires_grad_()

    def write(self):
        self.path.write_text("\n".join(self.lines) + "\n")


def activations():
    functions = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
                 "softplus": F.softplus}
    out = Fixture("activations")
    for d, dtype in DTYPES.items():
        for name, function in functions.items():
            x = out.randn(f"{d}.{name}.x", 5, 7, dtype=dtype, scale=3)
            dy = out.randn(f"{d}.{name}.dy", 5, 7, dtype=dtype)
            y = function(x)
            y.backward(dy)
            out.add(f"{d}.{name}.y", y)
            out.add(f"{d}.{name}.dx", x.grad)
    out.write()


def linear():
    out = Fixture("linear")
    for d, dtype in DTYPES.items():
        x = out.randn(f"{d}.x", 2, 3, 5, dtype=dtype)
        weight = out.randn(f"{d}.weight", 4, 5, dtype=dtype)
        bias = out.randn(f"{d}.bias", 4, dtype=dtype)
        dy = out.randn(f"{d}.dy", 2, 3, 4, dtype=dtype)
        y = F.linear(x, weight, bias)
        y.backward(dy)
        for name, tensor in {"y": y, "dx": x.grad, "dweight": weight.grad, "dbias": bias.grad}.items():
            out.add(f"{d}.{name}", tensor)
    out.write()


def losses():
    functions = {"cross_entropy": F.cross_entropy, "nll_loss": F.nll_loss, "mse_loss": F.mse_loss,
                 "l1_loss": F.l1_loss, "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits}
    out = Fixture("losses")
    for d, dtype in DTYPES.items():
        for name, function in functions.items():
            classes = name in ("cross_entropy", "nll_loss")
            x = out.randn(f"{d}.{name}.x", 6, 5, dtype=dtype, scale=4)
            if classes:
                target = torch.randint(0, 5, (6,), generator=out.generator)
            else:
                target = torch.rand(6, 5, generator=out.generator).to(dtype)
            out.add(f"{d}.{name}.target", target)
            for reduction in ("mean", "sum", "none"):
                loss = function(x, target, reduction=reduction)
                dy = out.randn(f"{d}.{name}.{reduction}.dy", *loss.shape, dtype=dtype)
                out.add(f"{d}.{name}.{reduction}.y", loss)
                out.add(f"{d}.{name}.{reduction}.dx", torch.autograd.grad(loss, x, dy)[0])
    out.write()


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "sgd_decay": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.002),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=0.002, betas=(0.8, 0.99), weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.002, weight_decay=0.1),
}


def training():
    """A 12-16-4 network, 200 steps over four batches of eight."""
    out = Fixture("training")
    shapes = {"0.weight": (16, 12), "0.bias": (16,), "2.weight": (4, 16), "2.bias": (4,)}
    start = {n: out.randn(f"start.{n}", *s, dtype=torch.float32, scale=0.3) for n, s in shapes.items()}
    x = out.randn("x", 32, 12, dtype=torch.float32).detach()
    target = torch.randint(0, 4, (32,), generator=out.generator)
    out.add("target", target)
    for d, dtype in DTYPES.items():
        for name, make in OPTIMIZERS.items():
            p = {n: t.detach().to(dtype, copy=True).requires_grad_() for n, t in start.items()}
            optimizer = make(list(p.values()))
            curve = []
            for step in range(200):
                rows = slice(8 * (step % 4), 8 * (step % 4) + 8)
                hidden = torch.tanh(F.linear(x[rows].to(dtype), p["0.weight"], p["0.bias"]))
                loss = F.cross_entropy(F.linear(hidden, p["2.weight"], p["2.bias"]), target[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                curve.append(loss.detach())
            out.add(f"{d}.{name}.curve", torch.stack(curve))
            out.add(f"{d}.{name}.0.weight", p["0.weight"])
    out.write()


def late_gradient():
    """Two parameters; b is used from the sixth step on: its moments and its step begin then."""
    out = Fixture("late_gradient")
    for d, dtype in DTYPES.items():
        for name in ("momentum", "adam", "adamw"):
            a = out.randn(f"{d}.{name}.a", 4, dtype=dtype)
            b = out.randn(f"{d}.{name}.b", 4, dtype=dtype)
            optimizer = OPTIMIZERS[name]([a, b])
            for step in range(12):
                optimizer.zero_grad()
                loss = (a**3).sum() + ((a * b**2).sum() if step >= 5 else 0)
                loss.backward()
                optimizer.step()
            out.add(f"{d}.{name}.a12", a)
            out.add(f"{d}.{name}.b12", b)
    out.write()


def clipping():
    out = Fixture("clipping")
    for d, dtype in DTYPES.items():
        for name, max_norm in {"clipped": 0.5, "untouched": 1e3}.items():
            a = out.randn(f"{d}.{name}.a", 3, 4, dtype=dtype)
            b = out.randn(f"{d}.{name}.b", 5, dtype=dtype)
            ((a**2).sum() + (b**3).sum()).backward()
            out.add(f"{d}.{name}.norm", torch.nn.utils.clip_grad_norm_([a, b], max_norm))
            out.add(f"{d}.{name}.da", a.grad)
            out.add(f"{d}.{name}.db", b.grad)
    out.write()


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests" / "fixtures")
torch.set_num_threads(1)
for make in (activations, linear, losses, training, late_gradient, clipping):
    make()
