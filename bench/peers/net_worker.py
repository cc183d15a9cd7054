# SPDX-License-Identifier: MIT
"""Times one network and one segment in one runtime: net_worker.py RUNTIME MODE MODEL X SECONDS [Y]

RUNTIME  openvino, onnxruntime or mnn
MODE     latency: one segment after the other, each with all CPUs
         throughput: as many segments at a time as there are CPUs, each with one
MODEL    what unet_onnx.py wrote; for mnn, converted
X, Y     .npy files [512, 1024, 2]: the network's input, and where its output is written

Prints {"ms": milliseconds a segment}: the median in latency mode, the mean of all in throughput mode. Nothing of loading,
compiling, warming up or reordering axes counts.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

CPUS = len(os.sched_getaffinity(0))
WARM_UP_S = 1.0


class OpenVino:
    """Latency hint with one stream; throughput hint with a queue of requests."""

    def __init__(self, model, mode, x):
        import openvino

        compiled = openvino.Core().compile_model(model, "CPU", {
            "PERFORMANCE_HINT": mode.upper(), "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": CPUS})
        self.x = x
        self.request = compiled.create_infer_request()
        self.queue = openvino.AsyncInferQueue(compiled)

    def infer(self):
        return self.request.infer({"x": self.x}, share_inputs=True)["y"]

    def infer_many(self, count):
        for _ in range(count):
            self.queue.start_async({"x": self.x}, share_inputs=True)
        self.queue.wait_all()


class InThreads:
    """For runtimes without a queue of their own: one copy of the network a CPU in throughput mode, each in a thread."""

    def __init__(self, model, mode, x):
        self.x = x
        copies, threads = (1, CPUS) if mode == "latency" else (CPUS, 1)
        self.networks = [self.load(model, threads) for _ in range(copies)]
        self.pool = ThreadPoolExecutor(copies)

    def infer(self):
        return self.infer_with(self.networks[0])

    def infer_many(self, count):
        def share(k):
            for _ in range(k, count, len(self.networks)):
                self.infer_with(self.networks[k])

        list(self.pool.map(share, range(len(self.networks))))


class OnnxRuntime(InThreads):
    def load(self, model, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer_with(self, session):
        return session.run(["y"], {"x": self.x})[0]


class Mnn(InThreads):
    def load(self, model, threads):
        from MNN import nn

        manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
        return nn.load_module_from_file(model, ["x"], ["y"], runtime_manager=manager, shape_mutable=False)

    def infer_with(self, module):
        from MNN import expr

        return module.forward([expr.const(self.x, list(self.x.shape), expr.NCHW)])[0].read()


def repeat(call, seconds):
    """Calls until `seconds` are over, 5 times at least; the durations of the calls."""
    durations, end = [], time.monotonic() + seconds
    while len(durations) < 5 or time.monotonic() < end:
        start = time.monotonic()
        call()
        durations.append(time.monotonic() - start)
    return durations


def main(runtime, mode, model, x_path, seconds, y_path=None):
    x = np.ascontiguousarray(np.load(x_path).transpose(2, 0, 1)[None])
    network = {"openvino": OpenVino, "onnxruntime": OnnxRuntime, "mnn": Mnn}[runtime](model, mode, x)
    if y_path:
        np.save(y_path, np.array(network.infer())[0].transpose(1, 2, 0))
    if mode == "latency":
        repeat(network.infer, WARM_UP_S)
        ms = 1e3 * median(repeat(network.infer, float(seconds)))
    else:
        count = 4 * CPUS
        repeat(lambda: network.infer_many(count), WARM_UP_S)
        durations = repeat(lambda: network.infer_many(count), float(seconds))
        ms = 1e3 * sum(durations) / (count * len(durations))
    print(json.dumps({"ms": ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
