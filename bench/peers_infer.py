#!/usr/bin/env python3
"""Answers of a small network beside ONNX Runtime, on the same weights.

Usage: peers_infer.py BENCH_INFER [--rounds N] [--filter TEXT] [--out FOLDER]
Its inputs and outputs are bound beforehand; what a call from Python costs it is printed, as the time of a model that does nothing.
"""
import subprocess
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from peers import THREADS, duration, main, seconds


def model(nodes, weights, features):
    tensor = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", [tensor("x", 784)], [tensor("y", features)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def answers(session, batch, features, q):
    """The quantile of many calls, as ours."""
    x = numpy.random.default_rng(1).random((batch, 784), dtype=numpy.float32)
    bound = session.io_binding()
    bound.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    bound.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros((batch, features), numpy.float32)))
    call = lambda: session.run_with_iobinding(bound)
    return lambda: float(numpy.quantile([seconds(call) for _ in range(1000)], q))


def peers(ours):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        subprocess.run([ours.process.args[0], "--weights", file, "--filter", "nothing but the weights"], check=True,
                       stdout=subprocess.DEVNULL)
        weights = load_file(file)
    layers = [helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["r"]),
              helper.make_node("Gemm", ["r", "2.weight", "2.bias"], ["y"], transB=1)]
    net, nothing = session(model(layers, weights, 10)), session(model([helper.make_node("Identity", ["x"], ["y"])], {}, 784))
    print("a model that does nothing:", duration(answers(nothing, 1, 784, 0.5)()))
    for batch in (1, 16):
        for name, q in (("median", 0.5), ("99th", 0.99)):
            yield f"batch-{batch}/{name}", "ONNX Runtime", answers(net, batch, 10, q), 2 if (batch, q) == (1, 0.5) else None


if __name__ == "__main__":
    main(__doc__, peers, {"ONNX Runtime": onnxruntime.__version__, "onnx": onnx.__version__})
