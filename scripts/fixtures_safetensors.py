"""Writes tests/fixtures/every_dtype.safetensors with the safetensors package, and with --check FILE compares a file that
varve wrote with it. Needs: pip install safetensors (0.8), in an environment of its own."""
import ctypes
import pathlib
import sys

import safetensors

DTYPES = {"bool": 8, "uint8": 8, "int8": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16, "int32": 32,
          "uint32": 32, "float32": 32, "float64": 64, "int64": 64, "uint64": 64, "float8_e4m3fn": 8, "float8_e5m2": 8,
          "float8_e8m0fnu": 8, "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "complex64": 64}


def tensors(keep):
    found = {}
    for number, (dtype, bits) in enumerate(DTYPES.items()):
        for shape in ([], [2, 3], [0, 4]):
            count = 1
            for size in shape:
                count *= size
            data = bytes((i * 37 + number) % (2 if dtype == "bool" else 251) for i in range(count * bits // 8))
            buffer = ctypes.create_string_buffer(data, len(data))
            keep.append(buffer)
            found[f"{dtype} {shape}"] = safetensors.TensorSpec(
                dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))
    return found


path = pathlib.Path(__file__).parent.parent / "tests/fixtures/every_dtype.safetensors"
if sys.argv[1:2] == ["--check"]:
    def by_name(data):
        return {name: (t["dtype"], t["shape"], bytes(t["data"])) for name, t in safetensors.deserialize(data)}
    ours, theirs = by_name(open(sys.argv[2], "rb").read()), by_name(path.read_bytes())
    assert ours == theirs, "the files differ"
    print(f"{len(ours)} tensors, bit for bit the same")
else:
    keep = []  # the package sees addresses only
    made_by = {"made by": "safetensors " + safetensors.__version__}
    path.write_bytes(safetensors.serialize(tensors(keep), metadata=made_by))
