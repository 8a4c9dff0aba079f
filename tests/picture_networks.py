"""Small picture networks for tests, written as ONNX graphs by hand."""

from dataclasses import replace
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.artefacts.bundle import Bundle, StyleMappingGeometry
from engine.artefacts.picture_network import PATTERNS_SHAPE, PictureGeometry, PictureNetwork


def tint_network(
    name: str = "lite", size: Literal[256, 512] = 256, *, better: bool = False, patterns: int = 40
) -> PictureNetwork:
    """One that paints where the mouth's or an eye's share is: as bright as its style's patterns say.

    Its picture is ``frame * (1 - m) + static * m`` with m the larger of both shares; the static is the mean of the
    patterns, (1, 1, 1), plus the portrait's mean red over 255.
    """
    shape = {"dynamic": ("batch", 6, size, size), "static": ("batch", 1, 1, 1), "picture": ("batch", 3, size, size)}
    sizes = numpy_helper.from_array(np.array([3, 1, 1, 1], np.int64), "sizes")
    whole = numpy_helper.from_array(np.array(255, np.float32), "whole")
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [
        helper.make_node("Cast", ["dynamic"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Split", ["seen", "sizes"], ["frame", "mouth", "eyes", "map"], axis=1),
        helper.make_node("Max", ["mouth", "eyes"], ["most"]),
        helper.make_node("Div", ["most", "whole"], ["share"]),
        helper.make_node("Sub", ["static", "frame"], ["gap"]),
        helper.make_node("Mul", ["gap", "share"], ["change"]),
        helper.make_node("Add", ["frame", "change"], ["mixed"]),
        helper.make_node("Add", ["mixed", "half"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["picture"], to=TensorProto.UINT8),
    ]
    frame = _model(
        nodes,
        {"dynamic": (TensorProto.UINT8, shape["dynamic"]), "static": (TensorProto.FLOAT, shape["static"])},
        {"picture": (TensorProto.UINT8, shape["picture"])},
        [sizes, whole, half],
    )
    axes = [1, 2, 3]
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    once = _model(
        [
            helper.make_node("Cast", ["source"], ["portrait"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["portrait", "zero"], ["red"], axis=1),
            helper.make_node("ReduceMean", ["red"], ["brightness"], axes=axes, keepdims=1),
            helper.make_node("Div", ["brightness", "whole"], ["little"]),
            helper.make_node("Cast", ["patterns"], ["shown"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["shown"], ["style"], axes=axes, keepdims=1),
            helper.make_node("Add", ["style", "little"], ["static"]),
        ],
        {
            "source": (TensorProto.UINT8, (1, 4, size, size)),
            "patterns": (TensorProto.UINT8, (1, *PATTERNS_SHAPE)),
        },
        {"static": (TensorProto.FLOAT, (1, 1, 1, 1))},
        [zero, whole],
    )
    geometry = PictureGeometry(size=size, static=(1, 1, 1), precision="fp32", better=better)
    neutral = np.full(PATTERNS_SHAPE, patterns, np.uint8)
    return PictureNetwork(name, geometry, frame, once, neutral)


def with_mapping(bundle: Bundle) -> Bundle:
    """``bundle`` with a style mapping whose patterns are the negatives of the reference images."""
    whole = numpy_helper.from_array(np.array(255, np.float32), "whole")
    shape = numpy_helper.from_array(np.array(PATTERNS_SHAPE, np.int64), "shape")
    graph = _model(
        [
            helper.make_node("Cast", ["references"], ["seen"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["whole", "seen"], ["negative"]),
            helper.make_node("Reshape", ["negative", "shape"], ["flat"]),
            helper.make_node("Cast", ["flat"], ["patterns"], to=TensorProto.UINT8),
        ],
        {"references": (TensorProto.UINT8, (4, 3, 256, 256))},
        {"patterns": (TensorProto.UINT8, PATTERNS_SHAPE)},
        [whole, shape],
    )
    manifest = bundle.manifest.model_copy(update={"style_mapping": StyleMappingGeometry(precision="fp32")})
    return replace(bundle, manifest=manifest, style_mapping=graph)


def _model(nodes, inputs, outputs, constants) -> bytes:
    def infos(tensors):
        return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in tensors.items()]

    graph = helper.make_graph(nodes, "tint", infos(inputs), infos(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
