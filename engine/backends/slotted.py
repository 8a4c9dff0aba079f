r"""A streaming step whose states stay on the device: every state becomes a bank of places, and the step a choice.

::

    bank.x (.., S, ..)  ─┐
    inbox.x (.., B, ..) ─┴ Concat ─┬─ Gather(slots) ─ state.x ─ [the step] ─ next.x ─┐
                                   └──────────────── Concat ─────────────────────────┴─ Gather(refresh) ─ next.bank.x

``slots`` (B,) says where each row of the batch has its state: in the bank, or in the inbox, which the host fills for
states that come from there. ``refresh`` (S,) says what each place holds afterwards: itself, or what a row has become.
So a batch of any sessions is gathered and scattered by the launch that computes it, and states never see the host.
What does not change during a session (``statics``) lies in a bank that is only read, by ``who`` (B,).

The operators are Concat and Gather alone, which every runtime has. Needs the ``onnx`` package.
"""

from collections.abc import Mapping

from engine.backends.device_graph import BATCH
from engine.errors import MissingExtraError

PLACES = "places"
"""The free length of a bank of states."""
BOUND = "bound"
"""The free length of a bank of what does not change."""


def slotted(graph: bytes, states: Mapping[str, int], statics: Mapping[str, int] | None = None) -> bytes:
    """Give a step banks.

    Args:
        graph: An ONNX graph with inputs ``state.<name>`` and outputs ``next.<name>``, the batch free.
        states: The batch axis of each state, by name.
        statics: The same of the inputs that do not change during a session.

    Returns:
        A graph of the other inputs, ``slots``, ``refresh``, ``bank.<name>`` and ``inbox.<name>`` to the outputs and
        ``next.bank.<name>``; and ``who`` and ``bank.<static>``.

    Raises:
        MissingExtraError: The ``onnx`` package is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtraError("Networks on a graphics card need onnx: pip install 'mien[gpu]'.") from error
    model = onnx.ModelProto.FromString(graph)
    inner = model.graph
    inputs = {value.name: value for value in inner.input}
    outputs = {value.name: value for value in inner.output}
    before, after, banks, made = [], [], [], []

    def declared(like: onnx.ValueInfoProto, name: str, axis: int, length: str) -> onnx.ValueInfoProto:
        value = onnx.ValueInfoProto()
        value.CopyFrom(like)
        value.name = name
        value.type.tensor_type.shape.dim[axis].Clear()
        value.type.tensor_type.shape.dim[axis].dim_param = length
        return value

    for name, axis in states.items():
        entering, leaving = inputs.pop(f"state.{name}"), outputs.pop(f"next.{name}")
        bank, inbox = f"bank.{name}", f"inbox.{name}"
        banks += [declared(entering, bank, axis, PLACES), declared(entering, inbox, axis, BATCH)]
        made.append(declared(leaving, f"next.{bank}", axis, PLACES))
        before += [
            helper.make_node("Concat", [bank, inbox], [f"{bank}.all"], axis=axis),
            helper.make_node("Gather", [f"{bank}.all", "slots"], [entering.name], axis=axis),
        ]
        after += [
            helper.make_node("Concat", [f"{bank}.all", leaving.name], [f"{bank}.after"], axis=axis),
            helper.make_node("Gather", [f"{bank}.after", "refresh"], [f"next.{bank}"], axis=axis),
        ]
    for name, axis in (statics or {}).items():
        entering = inputs.pop(name)
        banks.append(declared(entering, f"bank.{name}", axis, BOUND))
        before.append(helper.make_node("Gather", [f"bank.{name}", "who"], [name], axis=axis))
    chosen = {"slots": BATCH, "refresh": PLACES} if states else {}
    if statics:
        chosen["who"] = BATCH
    indices = [helper.make_tensor_value_info(name, TensorProto.INT64, [length]) for name, length in chosen.items()]
    nodes = list(inner.node)
    for field, values in (
        (inner.node, [*before, *nodes, *after]),
        (inner.input, [*inputs.values(), *indices, *banks]),
        (inner.output, [*outputs.values(), *made]),
    ):
        del field[:]
        field.extend(values)
    # Shapes that were inferred for the step alone still hold; new tensors are inferred by whoever loads the graph.
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
