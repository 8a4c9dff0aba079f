"""Networks that a user brings along as ONNX files; the one door of the metrics to ONNX Runtime."""

from pathlib import Path

import onnxruntime as ort

from engine.errors import ArtefactError


def open_onnx(path: Path, what: str) -> ort.InferenceSession:
    """Open a user's ONNX file on the CPU, one thread.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        ArtefactError: There is no such file, or it cannot be opened.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ArtefactError(f"{what}: {path} cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # onnxruntime raises types of its own, none of them public
        raise ArtefactError(f"{what}: {path} is no ONNX graph that can be run; give another file.") from error
