"""The network as an OpenVINO graph: the same arithmetic in the runtime's own operations, weights as 8-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from otklik.nlp.runtime import operations as op
from otklik.nlp.runtime import ov

Array = np.ndarray[Any, Any]
_ENCODER = "encoder."
_HEAD_EPSILON = 1e-5  # what torch takes


class _Weights:
    """Constants of the graph, named after the parameters of the network, so that a network can be filled from a graph again."""

    def __init__(self, state: Mapping[str, Array]) -> None:
        self.state = state

    def plain(self, name: str) -> Any:
        return self._named(op.constant(self.state[name].astype(np.float32)), name)

    def rows(self, name: str) -> tuple[Any, Any]:
        """A matrix as int8 and a float16 scale a row: symmetric, the largest weight of a row is ±127."""
        matrix = self.state[name].astype(np.float32)
        scale = (np.abs(matrix).max(axis=1, keepdims=True) / 127).astype(np.float16)
        scale[scale == 0] = 1
        whole = np.clip(np.round(matrix / scale.astype(np.float32)), -127, 127).astype(np.int8)
        return self._named(op.constant(whole), f"{name}/int8"), self._named(op.constant(scale), f"{name}/scale")

    @staticmethod
    def _named(node: Any, name: str) -> Any:
        node.set_friendly_name(name)
        return node

    def linear(self, value: Any, name: str) -> Any:
        whole, scale = self.rows(f"{name}.weight")
        matrix = op.convert(op.multiply(op.convert(whole, "f16"), scale), "f32")
        return op.add(op.matmul(value, matrix, transpose_a=False, transpose_b=True), self.plain(f"{name}.bias"))

    def norm(self, value: Any, name: str, epsilon: float) -> Any:
        centred = op.mvn(value, op.constant(np.array([-1], np.int64)), normalize_variance=True, eps=epsilon, eps_mode="inside_sqrt")
        return op.add(op.multiply(centred, self.plain(f"{name}.weight")), self.plain(f"{name}.bias"))


def to_graph(state: Mapping[str, Array], layers: int, heads: int, epsilon: float, pad: int) -> ov.Model:
    """Inputs ``ids`` (windows, tokens) and ``spread`` (windows, passages, tokens); output ``outputs`` (windows, passages, outputs)."""
    weights = _Weights(state)
    ids = op.parameter([-1, -1], np.int64, "ids")
    spread = op.parameter([-1, -1, -1], np.float32, "spread")
    value = weights.norm(_embeddings(weights, ids), f"{_ENCODER}embeddings.LayerNorm", epsilon)
    width = state[f"{_ENCODER}embeddings.LayerNorm.weight"].shape[0]
    padding = op.equal(ids, op.constant(np.int64(pad)))
    bias = op.unsqueeze(op.select(padding, op.constant(np.float32(-1e4)), op.constant(np.float32(0))), op.constant(np.array([1, 2])))
    for layer in range(layers):
        value = _layer(weights, f"{_ENCODER}encoder.layer.{layer}.", value, bias, heads, width, epsilon)
    passages = op.matmul(spread, value, transpose_a=False, transpose_b=False)
    outputs = weights.linear(weights.norm(passages, "head.0", _HEAD_EPSILON), "head.2")
    outputs.output(0).get_tensor().set_names({"outputs"})
    return ov.Model([op.result(outputs)], [ids, spread], "otklik")


def _embeddings(weights: _Weights, ids: Any) -> Any:
    name = f"{_ENCODER}embeddings."
    whole, scale = weights.rows(f"{name}word_embeddings.weight")
    zero = op.constant(np.int64(0))
    words = op.multiply(op.convert(op.gather(whole, ids, zero), "f32"), op.convert(op.gather(scale, ids, zero), "f32"))
    length = op.gather(op.shape_of(ids), op.constant(np.array([1], np.int64)), zero)
    start, step = op.constant(np.array([0], np.int64)), op.constant(np.array([1], np.int64))
    positions = op.slice(weights.plain(f"{name}position_embeddings.weight"), start, length, step, start)
    kind = op.slice(weights.plain(f"{name}token_type_embeddings.weight"), start, step, step, start)
    return op.add(words, op.add(positions, kind))


def _layer(weights: _Weights, name: str, value: Any, bias: Any, heads: int, width: int, epsilon: float) -> Any:
    shape = op.constant(np.array([0, 0, heads, width // heads], np.int64))
    order = op.constant(np.array([0, 2, 1, 3], np.int64))
    query, key, content = (
        op.transpose(op.reshape(weights.linear(value, f"{name}attention.self.{part}"), shape, special_zero=True), order)
        for part in ("query", "key", "value")
    )
    attended = op.transpose(op.scaled_dot_product_attention(query, key, content, bias), order)
    attended = op.reshape(attended, op.constant(np.array([0, 0, width], np.int64)), special_zero=True)
    value = weights.norm(
        op.add(value, weights.linear(attended, f"{name}attention.output.dense")), f"{name}attention.output.LayerNorm", epsilon
    )
    inner = op.gelu(weights.linear(value, f"{name}intermediate.dense"), "erf")
    return weights.norm(op.add(value, weights.linear(inner, f"{name}output.dense")), f"{name}output.LayerNorm", epsilon)


def to_state(graph: ov.Model) -> dict[str, Array]:
    """Parameters of a graph that `to_graph` made, by the names of the network; matrices come back as float32, rounded to 8 bits."""
    constants = {node.get_friendly_name(): node.get_data() for node in graph.get_ops() if node.get_type_name() == "Constant"}
    state = {}
    for name, data in constants.items():
        if name.endswith("/int8"):
            plain = name.removesuffix("/int8")
            state[plain] = data.astype(np.float32) * constants[f"{plain}/scale"].astype(np.float32)
        elif "." in name and not name.endswith("/scale"):
            state[name] = np.asarray(data, np.float32)
    return state
