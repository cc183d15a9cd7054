# SPDX-License-Identifier: MIT
"""Times one network on one segment in one runtime: net_worker.py RUNTIME MODE MODEL X SECONDS [Y]

RUNTIME  openvino, onnxruntime or mnn
MODE     latency: one segment after another, each on all CPUs
         throughput: as many segments at a time as there are CPUs, each on one CPU
MODEL    a file written by unet_onnx.py; for mnn, converted
X, Y     .npy files [512, 1024, 2]: the network's input, and the path for its output

Prints {"ms": milliseconds per segment}: the median in latency mode, the mean in throughput mode.
Loading, compiling, warming up and reordering axes are not counted.
"""

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import mean, median

import numpy as np

CPUS = len(os.sched_getaffinity(0))
WARM_UP_S = 1.0


class OpenVino:
    """Supports a performance hint and a request queue for throughput."""

    def __init__(self, model, mode, threads):
        import openvino

        compiled = openvino.Core().compile_model(model, "CPU", {
            "PERFORMANCE_HINT": mode.upper(), "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads})
        self.request = compiled.create_infer_request()
        self.queue = openvino.AsyncInferQueue(compiled)

    def infer(self, x):
        return self.request.infer({"x": x}, share_inputs=True)["y"]

    def infer_many(self, x, count):
        for _ in range(count):
            self.queue.start_async({"x": x}, share_inputs=True)
        self.queue.wait_all()


class OnnxRuntime:
    def __init__(self, model, _, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(self, x):
        return self.session.run(["y"], {"x": x})[0]


class Mnn:
    def __init__(self, model, _, threads):
        from MNN import nn

        manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
        self.module = nn.load_module_from_file(model, ["x"], ["y"], runtime_manager=manager, shape_mutable=False)

    def infer(self, x):
        from MNN import expr

        return self.module.forward([expr.const(x, list(x.shape), expr.NCHW)])[0].read()


RUNTIMES = {"openvino": OpenVino, "onnxruntime": OnnxRuntime, "mnn": Mnn}


def repeat(call, seconds):
    """Calls for `seconds`, at least 5 times, and returns the duration of each call."""
    durations, end = [], time.monotonic() + seconds
    while len(durations) < 5 or time.monotonic() < end:
        start = time.monotonic()
        call()
        durations.append(time.monotonic() - start)
    return durations


def latency_ms(network, x, seconds):
    repeat(lambda: network.infer(x), WARM_UP_S)
    return 1e3 * median(repeat(lambda: network.infer(x), seconds))


def queue_ms(network, x, seconds):
    count = 4 * CPUS
    repeat(lambda: network.infer_many(x, count), WARM_UP_S)
    return 1e3 * mean(repeat(lambda: network.infer_many(x, count), seconds)) / count


def one_of_many_ms(runtime, model, x, seconds, ready):
    """Runs in a separate process beside others, because MNN serializes calls from threads of one
    process."""
    network = RUNTIMES[runtime](model, "latency", 1)
    repeat(lambda: network.infer(x), WARM_UP_S)
    ready.wait()
    return 1e3 * mean(repeat(lambda: network.infer(x), seconds))


def processes_ms(runtime, model, x, seconds):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(CPUS, context) as pool:
        ready = manager.Barrier(CPUS)
        calls = [pool.submit(one_of_many_ms, runtime, model, x, seconds, ready) for _ in range(CPUS)]
        return 1 / sum(1 / call.result() for call in calls)


def main(runtime, mode, model, x_path, seconds, y_path=None):
    x = np.ascontiguousarray(np.load(x_path).transpose(2, 0, 1)[None])
    if mode == "throughput" and runtime != "openvino":
        ms = processes_ms(runtime, model, x, float(seconds))
    else:
        network = RUNTIMES[runtime](model, mode, CPUS)
        ms = (latency_ms if mode == "latency" else queue_ms)(network, x, float(seconds))
    if y_path:
        network = RUNTIMES[runtime](model, mode, CPUS)
        np.save(y_path, np.array(network.infer(x))[0].transpose(1, 2, 0))
    print(json.dumps({"ms": ms}))


if __name__ == "__main__":
    main(*sys.argv[1:])
