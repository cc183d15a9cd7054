# SPDX-License-Identifier: MIT
"""Spleeter's U-Net for one stem as an ONNX graph, built from our safetensors.

The graph is the network in docs/models.md, with ONNX's operators and axis order
[segments, channels, frames, bins]. There are two layouts of its input and output:

  segment  x, y [1, 2, 512, 1024]: suits convolution libraries, needs no transposition;
  sherpa   x, y [2, segments, 512, 1024] with the metadata that sherpa-onnx requires.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from safetensors_file import read_safetensors

FRAMES, BINS = 512, 1024
NORM_EPSILON = 1e-3
SAME_5X5_STRIDE_2 = [1, 1, 2, 2]  # rows and columns before, then rows and columns after
SAME_4X4_DILATED = [3, 3, 3, 3]


class Graph:
    """Nodes and constants in the order of their addition; each node has one output."""

    def __init__(self, tensors):
        self.tensors = tensors
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, operator, x, layer, axes, **attributes):
        """Kernels are [rows, columns, a, b] in the file; `axes` permutes them into ONNX's order."""
        kernel = self.constant(f"{layer}.kernel", self.tensors[f"{layer}.kernel"].transpose(axes))
        bias = self.constant(f"{layer}.bias", self.tensors[f"{layer}.bias"])
        return self.node(operator, [x, kernel, bias], layer, **attributes)

    def norm(self, x, layer):
        names = [f"{layer}.norm.{kind}" for kind in ("gamma", "beta", "moving_mean", "moving_variance")]
        return self.node("BatchNormalization", [x, *(self.constant(n, self.tensors[n]) for n in names)],
                         f"{layer}.norm", epsilon=NORM_EPSILON)

    def activation(self, x, kind):
        operator, attributes = {"relu": ("Relu", {}), "elu": ("Elu", {"alpha": 1.0}),
                                "leaky_relu": ("LeakyRelu", {"alpha": 0.2})}[kind]
        return self.node(operator, [x], f"{x}.{kind}", **attributes)

    def unet(self, x, metadata, output):
        skips, features = [], x
        for n in range(1, 7):
            features = self.convolution("Conv", features, f"encoder.{n}", (3, 2, 0, 1), kernel_shape=[5, 5],
                                        strides=[2, 2], pads=SAME_5X5_STRIDE_2)
            if n < 6:
                skips.append(features)
                features = self.activation(self.norm(features, f"encoder.{n}"), metadata["conv_activation"])
        for n in range(1, 7):
            features = self.convolution("ConvTranspose", features, f"decoder.{n}", (3, 2, 0, 1), kernel_shape=[5, 5],
                                        strides=[2, 2], pads=SAME_5X5_STRIDE_2)
            features = self.norm(self.activation(features, metadata["deconv_activation"]), f"decoder.{n}")
            if n < 6:
                features = self.node("Concat", [skips.pop(), features], f"merge.{n}", axis=1)
        logits = self.convolution("Conv", features, "mask", (3, 2, 0, 1), kernel_shape=[4, 4], dilations=[2, 2],
                                  pads=SAME_4X4_DILATED)
        return self.node("Mul", [self.node("Sigmoid", [logits], "mask.sigmoid"), x], output)


def write_unet(safetensors, path, layout="segment"):
    tensors, metadata = read_safetensors(safetensors)
    graph = Graph(tensors)
    if layout == "segment":
        shape = [1, 2, FRAMES, BINS]
        graph.unet("x", metadata, "y")
    else:
        shape = [2, "segments", FRAMES, BINS]
        graph.node("Transpose", ["x"], "x.segments", perm=[1, 0, 2, 3])
        graph.unet("x.segments", metadata, "y.segments")
        graph.node("Transpose", ["y.segments"], "y", perm=[1, 0, 2, 3])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    model = helper.make_model(helper.make_graph(graph.nodes, "unet", ends[:1], ends[1:], graph.constants),
                              opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if layout == "sherpa":
        helper.set_model_props(model, {"model_type": "spleeter", "version": "1", "stems": "2", "sample_rate": "44100",
                                       "model_name": "2stems"})
    onnx.checker.check_model(model)
    onnx.save(model, path)
