"""Files of Keras 2: what Keras 3 does not read in their descriptions of layers is said in its own words."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# Arguments that Keras 3 no longer takes, and the values at which they change nothing; None stands for any value, because only
# training uses the argument.
NEUTRAL: Mapping[str, Mapping[str, object]] = {
    "DepthwiseConv2D": {"groups": 1},
    "SeparableConv2D": {"groups": 1, "kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None},
    "Conv2DTranspose": {"groups": 1},
    "LSTM": {"time_major": False, "implementation": None},
    "GRU": {"time_major": False, "implementation": None},
    "SimpleRNN": {"time_major": False},
    "InputLayer": {"ragged": False},
}
# Layers that stood elsewhere or had another name.
RENAMED = {"ModelV2": "Functional", "Model": "Functional", "BatchNormalizationV1": "BatchNormalization"}
ELLIPSIS = "..."
OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


def in_keras_3(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a network or layer of Keras 2 as Keras 3 reads it."""
    named = layer.get("registered_name") or layer["class_name"]
    neutral = NEUTRAL.get(named, {})
    settings = {
        name: _setting(part)
        for name, part in layer.get("config", {}).items()
        if name not in neutral or neutral[name] not in (None, part)
    }
    if isinstance(settings.get("layers"), list):
        parts = layer["config"]["layers"]
        # In Keras 2 the first node of a network within is its own graph. Keras 3 counts calls only, and subtracts one from a
        # Functional that is an output by itself.
        nested = {part.get("name") for part in parts if "layers" in (part.get("config") or ())}
        settings["layers"] = [
            in_keras_3({**part, "inbound_nodes": _counted(part["inbound_nodes"], nested)} if "inbound_nodes" in part else part)
            for part in parts
        ]
        sequential = {part.get("name") for part in parts if part["class_name"] == "Sequential"}
        settings["output_layers"] = _counted(settings.get("output_layers"), sequential)
        if settings["output_layers"] is None:
            del settings["output_layers"]
    for ends in ("input_layers", "output_layers"):
        # Keras 3 takes a list of one tensor for another structure than the tensor, which the next layer refuses.
        if isinstance(settings.get(ends), list) and len(settings[ends]) == 1:
            settings[ends] = settings[ends][0]
    adapted = {"class_name": RENAMED.get(named, named), "config": settings}
    if "inbound_nodes" in layer:
        nodes = layer["inbound_nodes"]
        adapted |= {"name": layer["name"], "inbound_nodes": [_node(node) if _is_tensor(node) else node for node in nodes]}
    return adapted


def _setting(part: Any) -> Any:
    """Return an argument of a layer, in which objects such as an activation are found in the modules of Keras 3."""
    import keras

    if isinstance(part, list):
        return [_setting(one) for one in part]
    if not isinstance(part, dict):
        return part
    kind, settings = part.get("class_name"), part.get("config")
    if not isinstance(kind, str) or not isinstance(settings, dict):
        return {name: _setting(one) for name, one in part.items()}
    if kind.startswith("Policy"):
        return settings.get("name")
    places = (keras.layers, keras.initializers, keras.regularizers, keras.constraints)
    module = next((place.__name__.replace("keras.api", "keras") for place in places if hasattr(place, kind)), None)
    if module == "keras.layers":
        return {"module": module, **in_keras_3(part), "registered_name": None}
    return {"module": module, "class_name": kind, "config": _setting(settings), "registered_name": part.get("registered_name")}


def _is_tensor(value: Any) -> bool:
    """Whether a value stands for a result of a layer: its name, how often it was called before, and which result it is."""
    return isinstance(value, list) and len(value) in (3, 4) and [type(part) for part in value[:3]] == [str, int, int]


def _counted(value: Any, nested: Collection[str | None]) -> Any:
    """Return inbound nodes or outputs in which calls of these networks are counted from 0."""
    if _is_tensor(value) and value[0] in nested and value[1] > 0:
        value = [value[0], value[1] - 1, *value[2:]]
    if isinstance(value, dict):
        return {name: _counted(part, nested) for name, part in value.items()}
    return [_counted(part, nested) for part in value] if isinstance(value, list) else value


def _node(node: list[Any]) -> dict[str, Any]:
    """Return a call of an operation, whose arguments may be tensors or values, as Keras 3 describes it."""

    def argument(value: Any) -> Any:
        if _is_tensor(value):
            # The shape is that of the named result.
            return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": value[:3]}}
        if value == {"class_name": "__ellipsis__"}:
            return ELLIPSIS
        return [argument(one) for one in value] if isinstance(value, list) else value

    return {"args": [argument(node[:3])], "kwargs": {name: argument(value) for name, value in node[3].items()}}


def operation_layer() -> "type[keras.layers.Layer]":
    """Return the layer that stands for an operation of TensorFlow between layers, such as `x / 255` or preprocess_input.

    Keras 2 stored its name and arguments, and Keras 3 has no class for it. Only arithmetic is taken, by its name in a table.
    """
    import keras

    class Operation(keras.layers.Layer):
        """One operation of TensorFlow, by its name in Keras 2's files."""

        def __init__(self, function: str, **settings: Any):
            super().__init__(**settings)
            if function not in operations():
                raise ValueError(f"it uses tf.{function} outside of a layer, which Keras 3 cannot load")
            self.function = function

        def call(self, x: Any, **arguments: Any) -> Any:
            arguments = {name: value for name, value in arguments.items() if name != "name" and value is not None}
            return operations()[self.function](x, **arguments)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "function": self.function}

    return keras.saving.register_keras_serializable(package="lettercast")(Operation)


def operations() -> dict[str, Callable[..., Any]]:
    """Return the operations by the names that Keras 2's files give them; they take a tensor and TensorFlow's arguments."""
    from keras import ops

    arithmetic: dict[str, Callable[..., Any]] = {
        "add": ops.add,
        "subtract": ops.subtract,
        "multiply": ops.multiply,
        "truediv": ops.true_divide,
        "divide": ops.true_divide,
    }
    return {
        **{f"math.{name}": lambda x, y, run=run: run(x, y) for name, run in arithmetic.items()},
        **{f"__operators__.{name}": lambda x, y, run=run: run(x, y) for name, run in arithmetic.items()},
        "math.reduce_mean": lambda x, axis=None, keepdims=False: ops.mean(x, axis, keepdims),
        "math.reduce_sum": lambda x, axis=None, keepdims=False: ops.sum(x, axis, keepdims),
        "math.reduce_max": lambda x, axis=None, keepdims=False: ops.max(x, axis, keepdims),
        "math.sigmoid": ops.sigmoid,
        "math.tanh": ops.tanh,
        "math.square": ops.square,
        "math.sqrt": ops.sqrt,
        "nn.relu": ops.relu,
        "nn.relu6": ops.relu6,
        "nn.softmax": lambda x, axis=-1: ops.softmax(x, axis),
        "nn.sigmoid": ops.sigmoid,
        "nn.silu": lambda x, beta=1.0: x * ops.sigmoid(beta * x),
        "nn.bias_add": _bias_add,
        "cast": ops.cast,
        "reshape": ops.reshape,
        "transpose": _transpose,
        "clip_by_value": _clip,
        "concat": ops.concatenate,
        "expand_dims": ops.expand_dims,
        "compat.v1.squeeze": lambda x, axis=None: ops.squeeze(x, axis),
        "squeeze": lambda x, axis=None: ops.squeeze(x, axis),
        "image.resize": _resize,
        "__operators__.getitem": _getitem,
    }


def _bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    if data_format not in (None, "NHWC", "N...C"):
        raise ValueError(f"it adds a bias to channels in the order {data_format}, which lettercast does not take")
    return x + bias


def _transpose(x: Any, perm: Any) -> Any:
    from keras import ops

    return ops.transpose(x, perm)


def _clip(x: Any, clip_value_min: float, clip_value_max: float) -> Any:
    from keras import ops

    return ops.clip(x, clip_value_min, clip_value_max)


def _resize(images: Any, size: Any, method: str = "bilinear") -> Any:
    from keras import ops

    return ops.image.resize(images, size, interpolation=method)


def _getitem(x: Any, slice_spec: Any) -> Any:
    """Return a part of a tensor; Keras 2 stores each slice as its start, stop and step."""
    spec = slice_spec if isinstance(slice_spec, list | tuple) else [slice_spec]
    return x[tuple(_place(part) for part in spec)]


def _place(part: Any) -> Any:
    if isinstance(part, dict):
        return slice(part["start"], part["stop"], part["step"])
    return ... if part == ELLIPSIS else part
