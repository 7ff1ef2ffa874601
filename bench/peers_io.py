#!/usr/bin/env python3
"""Saving and loading beside PyTorch, safetensors and ZipNN: every case in turn with its peer, round after round.

Usage: peers_io.py BENCH_IO [--rounds N] [--filter TEXT] [--out FOLDER] [--dir FOLDER]
No save syncs to the disk.
"""
import os
import platform
import tempfile
from pathlib import Path

import numpy
import safetensors.torch
import torch
import zipnn

from peers import THREADS, Ours, compare, parser, report, seconds


def states():
    torch.manual_seed(0)
    return {
        "big": {f"layers.{i}.weight": torch.randn(1024, 1024) * 0.02 for i in range(64)},
        "many": {f"layers.{i}.weight": torch.randn(64) * 0.02 for i in range(5000)},
    }


def touched(tensors):
    """safetensors maps the file: its load is not over before the bytes were read."""
    return sum(float(t.sum()) for t in tensors.values())


def file_peers(folder):
    """(our case, peer, what the peer does, the least ratio we want)"""
    for size, state in states().items():
        pt, st = str(folder / f"{size}.pt"), str(folder / f"{size}_peer.safetensors")
        torch.save(state, pt)
        safetensors.torch.save_file(state, st)
        many = size == "many"
        yield f"save/{size}", "torch.save", lambda s=state, p=pt: torch.save(s, p), 20 if many else 1.5
        yield (f"save/{size}", "safetensors", lambda s=state, p=st: safetensors.torch.save_file(s, p),
               None if many else 0.97)
        yield f"load/{size}", "torch.load", lambda p=pt: torch.load(p, weights_only=True), 50 if many else 3
        yield f"load/{size}", "safetensors", lambda p=st: touched(safetensors.torch.load_file(p)), None
        yield f"open_mapped/{size}", "torch.load(mmap)", lambda p=pt: torch.load(p, weights_only=True, mmap=True), None
        yield f"open_mapped/{size}", "safetensors", lambda p=st: safetensors.torch.load_file(p), None


def codec_peers(folder):
    """On the weights that bench_io trained and left in its folder."""
    for ours, name in (("f32", "float32"), ("bf16", "bfloat16")):
        tensor = safetensors.torch.load_file(str(folder / f"weights_{ours}.safetensors"))["weights"]
        data = tensor.view(torch.uint8).numpy().tobytes()
        packer = zipnn.ZipNN(input_format="byte", bytearray_dtype=name, threads=1)
        packed = packer.compress(bytearray(data))
        print(f"zipnn {ours}: {len(packed) / len(data):.3f} of the bytes")
        for codec in ("zstd", "zlib"):
            yield f"encode_{codec}/{ours}", "zipnn", lambda p=packer, d=data: p.compress(bytearray(d)), None
            yield f"read_{codec}/{ours}", "zipnn", lambda p=packer, d=packed: p.decompress(d), None


def timed(peers):
    for case, peer, call, least in peers:
        yield case, peer, lambda call=call: seconds(call), least


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--dir", help="where the files go")
    options = arguments.parse_args()
    torch.set_num_threads(THREADS)
    versions = {"PyTorch": torch.__version__, "safetensors": safetensors.__version__, "NumPy": numpy.__version__,
                "Python": platform.python_version()}
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        both, single = (Ours(options.program, "--dir", name, "--threads", t) for t in (THREADS, 1))
        # os.sync: nothing that others wrote is left to be written.
        rows = compare(both, timed(file_peers(folder)), options, os.sync)
        codecs = compare(single, timed(codec_peers(folder)), options, os.sync, alone=False)
        rows = [r for r in rows if r["case"] not in {c["case"] for c in codecs}] + [{**c, "threads": 1} for c in codecs]
    report(options, versions, rows)


if __name__ == "__main__":
    main()
