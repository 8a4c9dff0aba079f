"""The converter on a model written by hand, run on onnxruntime against numpy."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from engine.errors import ArtefactError

flatbuffers = pytest.importorskip("flatbuffers", reason="needs the avatar extra")
tflite = pytest.importorskip("tflite", reason="needs the avatar extra")
pytest.importorskip("onnx", reason="needs the avatar extra")

from engine.portrait.tflite_onnx import convert  # noqa: E402

ADD, CONV, RELU, CUMSUM = 0, 3, 19, 128


def vector(builder: Any, items: list[int], start: Any, offsets: bool = False) -> int:
    start(builder, len(items))
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item) if offsets else builder.PrependInt32(item)
    return int(builder.EndVector())


def model(operators: list[int]) -> tuple[bytes, np.ndarray, np.ndarray]:
    """x (1, 4, 6, 2) -> CONV 3x3 stride 2 SAME (or the operators given); returns file, weights and bias."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    b = flatbuffers.Builder(4096)
    buffers = []
    for data in (b"", weights.tobytes(), bias.tobytes()):
        content = b.CreateByteVector(data) if data else None
        tflite.BufferStart(b)
        if content is not None:
            tflite.BufferAddData(b, content)
        buffers.append(tflite.BufferEnd(b))
    shapes = [
        ("x", [1, 4, 6, 2], 0),
        ("w", [3, 3, 3, 2], 1),
        ("b", [3], 2),
        ("c", [1, 2, 3, 3], 0),
        ("y", [1, 2, 3, 3], 0),
    ]
    tensors = []
    for name, shape, buffer in shapes:
        label = b.CreateString(name)
        sizes = vector(b, shape, tflite.TensorStartShapeVector)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, sizes)
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddName(b, label)
        tensors.append(tflite.TensorEnd(b))
    tflite.Conv2DOptionsStart(b)
    tflite.Conv2DOptionsAddPadding(b, tflite.Padding.SAME)
    tflite.Conv2DOptionsAddStrideW(b, 2)
    tflite.Conv2DOptionsAddStrideH(b, 2)
    tflite.Conv2DOptionsAddDilationWFactor(b, 1)
    tflite.Conv2DOptionsAddDilationHFactor(b, 1)
    options = tflite.Conv2DOptionsEnd(b)
    nodes, codes = [], []
    for index, (code, ins, outs) in enumerate(zip(operators, ([0, 1, 2], [3]), ([3], [4]), strict=True)):
        inputs = vector(b, ins, tflite.OperatorStartInputsVector)
        outputs = vector(b, outs, tflite.OperatorStartOutputsVector)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, index)
        tflite.OperatorAddInputs(b, inputs)
        tflite.OperatorAddOutputs(b, outputs)
        if code == CONV:
            tflite.OperatorAddBuiltinOptionsType(b, tflite.BuiltinOptions.Conv2DOptions)
            tflite.OperatorAddBuiltinOptions(b, options)
        nodes.append(tflite.OperatorEnd(b))
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(b, code)
        codes.append(tflite.OperatorCodeEnd(b))
    parts = [
        vector(b, tensors, tflite.SubGraphStartTensorsVector, True),
        vector(b, [0], tflite.SubGraphStartInputsVector),
        vector(b, [4], tflite.SubGraphStartOutputsVector),
        vector(b, nodes, tflite.SubGraphStartOperatorsVector, True),
    ]
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, parts[0])
    tflite.SubGraphAddInputs(b, parts[1])
    tflite.SubGraphAddOutputs(b, parts[2])
    tflite.SubGraphAddOperators(b, parts[3])
    graph = tflite.SubGraphEnd(b)
    graphs = vector(b, [graph], tflite.ModelStartSubgraphsVector, True)
    code_list = vector(b, codes, tflite.ModelStartOperatorCodesVector, True)
    buffer_list = vector(b, buffers, tflite.ModelStartBuffersVector, True)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, code_list)
    tflite.ModelAddSubgraphs(b, graphs)
    tflite.ModelAddBuffers(b, buffer_list)
    b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output()), weights, bias


def same_convolution(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 2, 3x3, TensorFlow's SAME: for an even size the one padded row and column is at the end."""
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    y = np.zeros((1, 2, 3, 3), np.float32)
    for row in range(2):
        for column in range(3):
            window = padded[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            y[0, row, column] = np.einsum("hwi,ohwi->o", window, weights) + bias
    return y


def test_a_convolution_keeps_its_values_and_layout() -> None:
    data, weights, bias = model([CONV, RELU])
    session = ort.InferenceSession(convert(data, "hand"), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(1, 4, 6, 2)).astype(np.float32)
    (y,) = session.run(None, {"x": x})
    assert y == pytest.approx(np.maximum(same_convolution(x, weights, bias), 0), abs=1e-5)


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(ArtefactError, match="CUMSUM"):
        convert(model([CONV, CUMSUM])[0], "hand")


@pytest.mark.parametrize("data", [b"", b"not a model", bytes(100)])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match="damaged"):
        convert(data, "hand")
