#!/usr/bin/env python3
"""Saving and loading beside PyTorch, safetensors and ZipNN: every case in turn with its peer, round after round.

Usage: peers_io.py BENCH_IO [--rounds N] [--threads N] [--json FILE] [--dir FOLDER]
Ratios are medians of the peer's time over ours, in pairs run one after the other; each side of a pair is the median of
REPEATS runs in a row, since a process that was asleep takes milliseconds to get up to speed, and memory that was given back
takes a virtual machine longer to get again. No save syncs to the disk.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import safetensors.torch
import torch
import zipnn


REPEATS = 5


class Ours:
    """bench_io --serve: runs a case when told its name and answers with the seconds."""

    def __init__(self, program, folder, threads):
        command = [program, "--serve", "--dir", folder, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, case):
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def seconds(call):
    start = time.perf_counter()
    result = call()
    taken = time.perf_counter() - start
    del result
    return taken


def settled(run):
    """The median time of a few runs, begun when nothing that others wrote is left to be written."""
    os.sync()
    return statistics.median(run() for _ in range(REPEATS))


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


def compare(ours, peers, rounds):
    peers = list(peers)
    times = [[] for _ in peers]
    for _ in range(rounds):
        for pairs, (case, _, call, _) in zip(times, peers):
            pairs.append((settled(lambda: ours(case)), settled(lambda: seconds(call))))
    for pairs, (case, peer, _, least) in zip(times, peers):
        ratio = statistics.median(b / a for a, b in pairs)
        yield {"case": case, "peer_name": peer, "ours": statistics.median(a for a, _ in pairs),
               "peer": statistics.median(b for _, b in pairs), "ratio": ratio, "required": least}


def show(rows):
    print(f"{'case':20} {'peer':18} {'ours ms':>9} {'peer ms':>9} {'ratio':>7}  required")
    for r in rows:
        required = "" if r["required"] is None else f"{r['required']}{'' if r['ratio'] >= r['required'] else '  MISSED'}"
        print(f"{r['case']:20} {r['peer_name']:18} {r['ours'] * 1e3:9.2f} {r['peer'] * 1e3:9.2f} {r['ratio']:7.2f}  {required}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--dir")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = {"torch": torch.__version__, "safetensors": safetensors.__version__, "numpy": numpy.__version__,
                "python": platform.python_version()}
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        both, single = (Ours(options.program, name, t) for t in (options.threads, 1))
        both("write/many")  # it has made its files
        rows = list(compare(both, file_peers(folder), options.rounds))
        rows += compare(single, codec_peers(folder), options.rounds)
    show(rows)
    if options.json:
        Path(options.json).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
