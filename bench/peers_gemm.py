#!/usr/bin/env python3
"""Matrix products beside NumPy, PyTorch, Debian's OpenBLAS and oneDNN, and Eigen, which bench_gemm has itself.

Usage: peers_gemm.py BENCH_GEMM [--rounds N] [--filter TEXT] [--out FOLDER]
"""
import ctypes
import os

# OpenBLAS's threads spin for 2^20 cycles after a product, longer than it takes to the next one, and not for 2^28: a tenth of a
# second in which others are timed.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

import numpy
import torch

from peers import THREADS, lazily, main, seconds


class BlasLibrary:
    """A library that is not there has no version and no products."""

    def __init__(self, file):
        try:
            self.library = ctypes.CDLL(file)
        except OSError as error:
            self.library = None
            print(f"without {file}: {error}")

    def version(self):
        return self.read_version() if self.library else "absent"


class OpenBlas(BlasLibrary):
    def __init__(self):
        super().__init__("libopenblas.so.0")
        if self.library:
            self.library.openblas_set_num_threads(THREADS)

    def read_version(self):
        self.library.openblas_get_config.restype = ctypes.c_char_p
        return self.library.openblas_get_config().decode().split()[1]

    def product(self, a, b, c):
        (m, k), n = a.shape, b.shape[1]
        call, number = ((self.library.cblas_sgemm, ctypes.c_float) if a.dtype == numpy.float32 else
                        (self.library.cblas_dgemm, ctypes.c_double))
        row_major, plain = 101, 111
        at = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, c)]
        return lambda: call(row_major, plain, plain, m, n, k, number(1), at[0], k, at[1], n, number(0), at[2], n)


class OneDnn(BlasLibrary):
    def __init__(self):
        super().__init__("libdnnl.so.2")

    def read_version(self):
        self.library.dnnl_version.restype = ctypes.POINTER(ctypes.c_int)
        return ".".join(map(str, self.library.dnnl_version()[:3]))

    def product(self, a, b, c):
        sizes = [ctypes.c_int64(i) for i in (*a.shape, b.shape[1])]
        m, k, n = sizes
        plain, one, zero = ctypes.c_char(b"N"), ctypes.c_float(1), ctypes.c_float(0)
        at = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, c)]
        return lambda: self.library.dnnl_sgemm(plain, plain, m, n, k, one, at[0], k, at[1], n, zero, at[2], n)


def numpy_product(a, b, c):
    return lambda: numpy.matmul(a, b, out=c)


def torch_product(a, b, c):
    a, b, c = map(torch.from_numpy, (a, b, c))
    multiply = torch.bmm if a.dim() == 3 else torch.mm
    return lambda: multiply(a, b, out=c)


def torch_bf16_product(a, b, c):
    x, y, z = (torch.from_numpy(t).bfloat16() for t in (a, b, c))
    multiply = torch.bmm if x.dim() == 3 else torch.mm
    multiply(x, y, out=z)
    c[:] = z.float()
    return lambda: multiply(x, y, out=z)


def timed(product_of, case, flops):
    """A call that returns the seconds of one product or batch; small ones are timed several at a time, as ours."""
    _, dtype, sizes, _ = case.split("/")
    *batch, m, k, n = map(int, sizes.split("x"))
    kind = numpy.float64 if dtype == "f64" else numpy.float32
    error = 3e-2 * k ** 0.5 if dtype == "bf16" else 1e-2
    random = numpy.random.default_rng(1)
    a, b, c = (random.standard_normal((*batch, *shape), kind) for shape in ((m, k), (k, n), (m, n)))
    product = product_of(a, b, c)
    product()
    numpy.testing.assert_allclose(c[..., :8, :], a[..., :8, :] @ b, rtol=1e-2, atol=error)
    repeats = max(1, int(5e8 / flops))

    def run():
        product()
        return seconds(lambda: [product() for _ in range(repeats)] and None) / repeats

    return run


def peers(ours):
    torch.set_num_threads(THREADS)
    blas, dnn = OpenBlas(), OneDnn()
    VERSIONS.update({"OpenBLAS": blas.version(), "oneDNN": dnn.version()})
    products = {"NumPy": numpy_product, "PyTorch": torch_product}
    if blas.library:
        products["OpenBLAS"] = blas.product
    if dnn.library:
        products["oneDNN"] = dnn.product
    for case in ours.ceilings:
        if "/bf16/" in case:
            yield case, "PyTorch", lazily(lambda made=(torch_bf16_product, case, ours.amounts[case]): timed(*made)), 0.85
            continue
        least = 0.98 if "/f32/" in case else None
        yield case, "Eigen", case + "/eigen", least
        for peer, product in products.items():
            if case.startswith("batch/") and product not in (numpy_product, torch_product):
                continue  # the others have single products
            if least or peer != "oneDNN":  # has no product of f64
                yield case, peer, lazily(lambda made=(product, case, ours.amounts[case]): timed(*made)), least


VERSIONS = {"NumPy": numpy.__version__, "PyTorch": torch.__version__}
if __name__ == "__main__":
    with torch.inference_mode():
        main(__doc__, peers, VERSIONS)
