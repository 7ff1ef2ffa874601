#!/usr/bin/env python3
"""Reads .varve files of version 1 in Python, written from docs/format.md alone. Needs numpy, xxhash and zstandard.

Usage: read_varve.py FILE...   or: import read_varve; read_varve.read(path).tensors["weight"]
"""
import math
import struct
import sys
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from xxhash import xxh3_64_intdigest as checksum, xxh3_128_hexdigest

SECTIONS = ["features", "meta", "storages", "chunks", "tensors"]
FEATURES = ["zlib", "zstd"]  # the critical ones, from the lowest bit
KINDS = {code: (name, int(bits), dtype) for code, (name, bits, dtype) in enumerate((line.split(":") for line in """
f32:32:<f4 f64:64:<f8 f16:16:<f2 bf16:16:<u2 i8:8:i1 i16:16:<i2 i32:32:<i4 i64:64:<i8 u8:8:u1 u16:16:<u2 u32:32:<u4 u64:64:<u8
bool:8:? complex64:64: complex128:128: f8_e4m3fn:8: f8_e5m2:8: f8_e4m3fnuz:8: f8_e5m2fnuz:8: f8_e8m0fnu:8: f6_e2m3fn:6:
f6_e3m2fn:6: f4_e2m1fn:4: i4:4: u4:4:""".split()), 1)}  # code -> name, bits, numpy's dtype: none for a carried kind

PLAIN = {name for name, _, dtype in KINDS.values() if dtype}  # the others are carried


class FormatError(Exception):
    """A file that breaks a rule: which file, where, and what was found."""

    def __init__(self, path: str, offset: int, found: str):
        super().__init__(f"{path}, byte {offset}: {found}")
        self.path, self.offset, self.found = path, offset, found


@dataclass
class File:
    """What a file holds. A bf16 tensor is an array of its bits as uint16, a carried one a 1-d array of its bytes."""
    kind: str
    meta: Any
    tensors: dict[str, np.ndarray]
    types: dict[str, tuple[str, tuple[int, ...]]]  # the element kind and shape of each tensor
    ignorable: list[tuple[str, bytes]]  # the sections that this reader does not know
    fingerprint: str


@dataclass
class Cursor:
    """Reads a range of the file from front to back and refuses to leave it."""
    path: str
    data: bytes
    at: int
    end: int

    def require(self, holds: bool, found: str, at: int | None = None) -> None:
        if not holds:
            raise FormatError(self.path, self.at if at is None else at, found)

    def take(self, size: int) -> bytes:
        self.require(size <= self.end - self.at, f"{size} bytes wanted, {self.end - self.at} left")
        self.at += size
        return self.data[self.at - size:self.at]

    def sub(self, size: int) -> "Cursor":
        self.take(size)
        return Cursor(self.path, self.data, self.at - size, self.at)

    def numbers(self, layout: str) -> tuple:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def text(self) -> str:
        at, found = self.at, self.take(*self.numbers("Q"))
        try:
            text = found.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        self.require("\0" not in text, f"{found!r} is not UTF-8 without NUL", at)
        return text

    def align(self, to: int) -> None:
        at = self.at
        self.require(not any(self.take(-at % to)), "padding that is not zero", at)

    def finish(self) -> None:
        self.require(self.at == self.end, f"{self.end - self.at} bytes left over")


def read_value(c: Cursor, depth: int = 0, room: list[int] | None = None) -> Any:
    """An encoded value; `room` is how many values lists and maps may still announce."""
    room = room if room is not None else [65536 + (c.end - c.at) // 8]
    c.require(depth <= 64, "lists and maps nested more than 64 deep")
    kind, = c.numbers("B")
    c.require(kind <= 8, f"value of kind {kind}", c.at - 1)
    if kind <= 4:
        return (None, False, True)[kind] if kind <= 2 else c.numbers("q" if kind == 3 else "d")[0]
    if kind <= 6:
        return c.text() if kind == 5 else c.take(*c.numbers("Q"))
    count, = c.numbers("Q")
    c.require(count <= min(c.end - c.at, room[0]), f"{count} values in {c.end - c.at} bytes")
    room[0] -= count
    if kind == 7:
        return [read_value(c, depth + 1, room) for _ in range(count)]
    entries: dict[str, Any] = {}
    for _ in range(count):
        c.require((key := c.text()) not in entries, f"key {key!r} a second time")
        entries[key] = read_value(c, depth + 1, room)
    return entries


def read_frame(c: Cursor) -> tuple[Cursor, Cursor, int, int]:
    """Checks header and footer; gives the range of the storages, the index, and both sets of features."""
    size, data = c.end, c.data
    magic, major, _, order, critical, ignorable, zeros, head_sum = c.numbers("8sHHIQQ24sQ")
    c.require(magic == b"\x89VRV\r\n\x1a\n", f"not a .varve file: {magic!r}", 0)
    c.require(head_sum == checksum(data[:56]), "wrong checksum of the header", 56)
    c.require(major == 1 and order == 0x01020304 and not any(zeros), f"version {major}, order {order:#x}, {zeros!r}", 8)
    c.take(max(0, size - 128))
    start, length, index_sum, total, head_again, zeros, foot_sum = c.numbers("QQQQQ16sQ")
    c.require(foot_sum == checksum(data[-64:-8]), "wrong checksum of the footer")
    c.require(total == size and head_again == head_sum and not any(zeros) and start >= 64 and start + length == size - 64,
              "footer that does not fit the file", size - 64)
    c.require(index_sum == checksum(data[start:-64]), "wrong checksum of the index", start)
    return Cursor(c.path, data, 64, start), Cursor(c.path, data, start, size - 64), critical, ignorable


def read_sections(c: Cursor, critical: int, ignorable: int) -> tuple[list[Cursor], list[tuple[str, bytes]]]:
    """The bodies of the known sections after `features`, and the sections that this reader may skip."""
    known: list[Cursor] = []
    others: list[tuple[str, bytes]] = []
    names: set[str] = set()
    while c.at < c.end:
        at, name, (flag,) = c.at, c.text(), c.numbers("B")
        body = c.sub(*c.numbers("Q"))
        c.require(name not in names, f"section {name!r} a second time", at)
        names.add(name)
        expected = flag == 1 and len(known) < 5 and name == SECTIONS[len(known)]
        c.require(expected or flag in (0, 2) and name not in SECTIONS, f"section {name!r} with flag {flag} in place {len(known)}", at)
        if expected:
            known.append(body)
        elif flag == 0:
            others.append((name, body.take(body.end - body.at)))
        if expected and name == "features":
            for bit in (bit for bit in range(64) if critical >> bit & 1):
                body.require(FEATURES[bit:bit + 1] == [name := body.text()], f"critical feature {name!r}, bit {bit}")
            for _ in range(ignorable.bit_count()):
                body.text()
            body.finish()
    c.require(len(known) == 5, f"{len(known)} of the sections {SECTIONS}")
    return known[1:], others


def decode(c: Cursor, n: int, codec: int, width: int) -> bytes:
    """The n bytes of a coded chunk."""
    start, m, out = c.at, n // width, np.empty(n, np.uint8)
    for p, length in enumerate(c.numbers(f"{width}I")):
        at, plane = c.at, c.take(length)
        try:
            if length < m and codec == 1:
                stream = zlib.decompressobj(-15)
                plane = stream.decompress(plane, m + 1)
                c.require(stream.eof and not stream.unused_data, "not one deflate stream", at)
            elif length < m:
                frame = zstandard.get_frame_parameters(plane)
                c.require(frame.content_size == m and frame.window_size <= max(m, 8 << 20), "zstd frame of another size", at)
                plane = zstandard.ZstdDecompressor().decompress(plane, max_output_size=m, allow_extra_data=False)
        except (zlib.error, zstandard.ZstdError) as error:
            c.require(False, str(error), at)
        c.require(len(plane) == m, f"plane of {len(plane)} bytes instead of {m}", at)
        out[p:m * width:width] = np.frombuffer(plane, np.uint8)
    out[m * width:] = np.frombuffer(c.take(n - m * width), np.uint8)
    c.require(c.at == c.end or c.end - start == -(-n // 64) and not any(c.take(c.end - c.at)), "bytes after a coded chunk")
    return out.tobytes()


def read_storages(c: Cursor, storages: Cursor, chunks: Cursor, critical: int) -> list[tuple[bytearray, bytes]]:
    """The decoded bytes of each storage, and what the fingerprint takes of it."""
    found, used = [], 0
    while storages.at < storages.end:
        size, codec, width = storages.numbers("QII")
        storages.require(codec <= 2 and width in ((1, 2, 4, 8) if codec else (1,)), f"codec {codec}, width {width}")
        used |= 1 << codec >> 1
        c.align(4096 if not codec and size >= 65536 else 64)
        content, summary = bytearray(), struct.pack("<Q", size)
        for n in (min(1 << 20, size - done) for done in range(0, size, 1 << 20)):
            length, stored, decoded = chunks.numbers("QQQ")
            chunks.require((-(-n // 64) if codec else n) <= length <= n, f"chunk of {n} bytes in {length}")
            chunk = c.sub(length)
            c.require(checksum(chunk.data[chunk.at:chunk.end]) == stored, "wrong checksum of a chunk", chunk.at)
            content += chunk.take(n) if length == n else decode(chunk, n, codec, width)
            c.require(checksum(memoryview(content)[-n:]) == decoded, "wrong checksum of a decoded chunk", c.at - length)
            summary += struct.pack("<Q", decoded)
        found.append((content, summary))
    chunks.finish()
    c.align(64)
    c.finish()
    storages.require(used == critical, f"codecs {used:#b}, features {critical:#b}")
    return found


def read_tensor(c: Cursor, storages: list[tuple[bytearray, bytes]]) -> tuple[str, tuple]:
    """Name, and: array, element kind, shape, number of the storage, what stands before and after that number, and the
    bytes it reaches and those of an element."""
    start, name, (code, axes), middle = c.at, c.text(), c.numbers("BB"), c.at
    c.require(code in KINDS and axes <= 8, f"tensor {name!r} of kind {code} with {axes} axes", start)
    (number, offset), shape, strides = c.numbers("Qq"), c.numbers(f"{axes}q"), c.numbers(f"{axes}q")
    c.require(number < len(storages), f"tensor {name!r} in storage {number} of {len(storages)}", start)
    storage, (kind, bits, dtype) = storages[number][0], KINDS[code]
    item, ones = max(1, bits // 8), [max(1, size) for size in shape]
    size = -(-math.prod(shape) * bits // 8)
    if plain := size == 0 or not dtype:  # all of a storage
        first, end = offset, offset + size
    else:
        reach = [(size - 1) * stride * item for size, stride in zip(shape, strides)]
        first, end = offset + sum(r for r in reach if r < 0), offset + sum(r for r in reach if r > 0) + item
    reached, nested = 0, True
    for step, count in sorted((abs(stride), size) for stride, size in zip(strides, shape) if size > 1 and not plain):
        nested, reached = nested and step > reached, reached + step * (count - 1)
    row_major = [math.prod(ones[axis + 1:]) for axis in range(axes)]
    c.require(min(shape, default=0) >= 0 and math.prod(ones) < 1 << 59 and offset % item == 0 and nested
              and all(strides[axis] == row_major[axis] for axis in range(axes) if plain or shape[axis] == 1)
              and 0 <= first <= end <= len(storage), f"tensor {name!r}: {shape}, strides {strides}, offset {offset}", start)
    steps = [stride * item if size > 1 else 0 for size, stride in zip(shape, strides)]  # one element takes no step
    array = np.ndarray(shape, dtype, storage, offset, steps) if dtype else np.ndarray(size, np.uint8, storage, offset)
    c.require(kind != "bool" or max(storage, default=0) <= 1, f"tensor {name!r}: its storage has a byte above 1", start)
    c.require(not plain or offset == 0 and size == len(storage), f"tensor {name!r} is not all of its storage", start)
    if not dtype:
        spare = -math.prod(shape) * bits % 8
        c.require(not spare or storage[-1] >> (8 - spare) == 0, f"tensor {name!r}: bits after its last element", start)
    return name, (array, kind, shape, number, c.data[start:middle], c.data[middle + 8:c.at], (first, end, item))


def parse(data: bytes, path: str = "") -> File:
    """Checks all of a file's bytes."""
    body, index, critical, ignorable = read_frame(Cursor(path, data, 0, len(data)))
    (head, storage_table, chunks, entries), others = read_sections(index, critical, ignorable)
    meta_bytes, meta = data[head.at:head.end], read_value(head)
    head.finish()
    head.require(isinstance(meta, dict) and list(meta) == ["kind", "meta"] and isinstance(meta["kind"], str), "no kind and meta")
    storages = read_storages(body, storage_table, chunks, critical)
    tensors: dict[str, tuple] = {}
    while entries.at < entries.end:
        at, (name, tensor) = entries.at, read_tensor(entries, storages)
        entries.require(name not in tensors, f"tensor {name!r} a second time", at)
        tensors[name] = tensor
    users: list[list[tuple]] = [[] for _ in storages]
    for *_, number, _, _, reach in tensors.values():
        users[number].append(reach)
    for reaches, (content, _) in zip(users, storages):
        entries.require(bool(reaches), "a storage that no tensor uses")
        first, end, largest = (f(reach) for f, reach in zip((min, max, max), zip(*reaches)))
        entries.require(first < largest and end == len(content), "a storage with bytes before or after its tensors")
    for name, (array, kind, _, number, _, _, _) in tensors.items():
        alone = kind in PLAIN and array.size or len(users[number]) == 1
        entries.require(alone, f"tensor {name!r} shares its storage")
    order: dict[int, int] = {}  # by storage, its number in the fingerprint
    parts = [meta_bytes, b"", b""]
    for name in sorted(tensors, key=str.encode):
        *_, number, before, after, _ = tensors[name]
        parts[1] += before + struct.pack("<Q", order.setdefault(number, len(order))) + after
    parts[2] = b"".join(storages[number][1] for number in order)
    fingerprint = xxh3_128_hexdigest(b"".join(struct.pack("<Q", len(part)) + part for part in parts))
    return File(meta["kind"], meta["meta"], {name: t[0] for name, t in tensors.items()},
                {name: t[1:3] for name, t in tensors.items()}, others, fingerprint)


def read(path: str) -> File:
    with open(path, "rb") as file:
        return parse(file.read(), path)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        try:
            file = read(path)
        except FormatError as error:
            sys.exit(str(error))
        print(f"{path}: {file.kind}, fingerprint {file.fingerprint}")
        for name, (kind, shape) in file.types.items():
            print(f"  {name!r}: {kind} {list(shape)}")
