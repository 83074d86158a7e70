"""Opening files of Keras: `.keras` archives and HDF5, of Keras 3 and 2, without running code that is inside of them.

What cannot be opened is refused in one line that says what to run.
"""

import json
import re
import shlex
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import LettercastError
from ..runtime.arguments import SAVED_MODEL, is_there
from ..runtime.console import first_line
from ..runtime.model.facts import HDF5_SIGNATURE, MAX_UNPACKED_BYTES, keras_facts
from .custom import find_objects, unknown_object
from .keras2 import OPERATIONS, in_keras_3, operation_layer
from .wrap import as_classifier

if TYPE_CHECKING:
    import keras

SAVED_BY_KERAS_2 = "keras_metadata.pb"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# What Keras says about a class or function that it does not know, in `.keras` files and in HDF5.
UNKNOWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown [\w ]+:) '([^']+)'")
# Files that are no Keras models, by their endings: what they are, and what to do.
EXPORTED = "an exported model, which is not exported again; `lettercast evaluate` and `lettercast benchmark` measure it"
PYTORCH = "a PyTorch model, and lettercast exports Keras models; build the same network in Keras and copy its weights"
OTHERS = {
    ".tflite": EXPORTED,
    ".onnx": EXPORTED,
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), PYTORCH),
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib"),
        "a pickle, which runs code when it is opened; save it with model.save('model.keras')",
    ),
    ".json": "a description without weights; load it with keras.models.model_from_json, then model.load_weights and "
    "model.save('model.keras')",
    ".pb": "a graph of TensorFlow without Keras layers; save the Keras model itself with model.save('model.keras')",
}


_IN_MEMORY: "dict[Path, keras.Model]" = {}


@dataclass(frozen=True)
class Saved:
    """What a file says about its network: the description of the layers, and the version of Keras that saved it."""

    config: dict[str, Any]
    version: str
    is_hdf5: bool

    @property
    def is_keras_2(self) -> bool:
        """Whether Keras 2 or older saved it."""
        return self.version.partition(".")[0] in ("", "1", "2")


def load_keras(path: Path) -> "keras.Model":
    """Load a Keras classifier as a network of one image input (H, W, C) and two or more outputs (N, classes).

    Raises LettercastError if the file is not one.
    """
    network = as_classifier(path, read_network(path))
    facts = keras_facts(path)
    shapes = tuple(network.inputs[0].shape[1:]), tuple(network.outputs[0].shape[1:])
    if facts and (facts.input_shape, (len(facts.labels),)) != shapes:
        raise LettercastError(f"{path}: its facts do not match its network ({shapes[0]} to {shapes[1]}); train it again")
    return network


def read_network(path: Path) -> "keras.Model":
    """Read the network of a file as it was saved, in Keras' safe mode; raises LettercastError if it cannot be read."""
    import keras

    if path in _IN_MEMORY:
        return _IN_MEMORY[path]
    refuse_others(path)
    saved = read_hdf5(path) if is_hdf5(path) else read_archive(path)
    objects = find_objects(path, saved.config)
    with tempfile.TemporaryDirectory() as folder, explained(path, saved), warnings.catch_warnings():
        # About arguments of older versions, which you cannot change in a file.
        warnings.simplefilter("ignore")
        file = path
        if saved.is_keras_2 or saved.is_hdf5 or path.suffix.lower() != ".keras":
            file = Path(folder) / f"model{'.h5' if saved.is_hdf5 else '.keras'}"
            copy_adapted(path, saved, file)
            objects |= dict.fromkeys(OPERATIONS, operation_layer())
        return keras.saving.load_model(file, custom_objects=objects, compile=False, safe_mode=True)


@contextmanager
def in_place_of(path: Path, network: "keras.Model") -> Iterator[None]:
    """Let a network in memory be opened in place of a file: saved and loaded again, it could lack code of its own."""
    _IN_MEMORY[path] = network
    try:
        yield
    finally:
        del _IN_MEMORY[path]


def is_hdf5(path: Path) -> bool:
    """Whether the content of a file is HDF5, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE


def refuse_others(path: Path) -> None:
    """Raise LettercastError with what to do if a path is not a file of Keras: a SavedModel, another format, or missing."""
    if is_there((path / SAVED_MODEL).is_file):
        name = path.resolve().name
        if (path / SAVED_BY_KERAS_2).is_file():
            code = f"import tf_keras; tf_keras.models.load_model({str(path)!r}).save({name + '.h5'!r})"
            quoted = shlex.quote(code) if re.search(r'["$`\\]', code) else f'"{code}"'
            mend = f"pip install tf_keras, then python -c {quoted}, then export {name}.h5"
            raise LettercastError(f"{path}: a SavedModel of Keras 2, whose layers only TensorFlow reads; {mend}")
        reason = "a SavedModel holds the graph of a network and not its Keras layers"
        raise LettercastError(f"{path}: {reason}; where the model is in Python, save it with model.save('{name}.keras')")
    if not is_there(path.is_file):
        raise LettercastError(f"{path}: no such file; give a .keras model, e.g. one that `lettercast train` made")
    if path.suffix.lower() in OTHERS:
        raise LettercastError(f"{path}: {OTHERS[path.suffix.lower()]}")


def read_hdf5(path: Path) -> Saved:
    """Read the description from an HDF5 file; raises LettercastError if it has none, or is damaged."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config, version = (file.attrs.get(name) for name in ("model_config", "keras_version"))
            size = sum(part.nbytes for part in _datasets(file))
            if config is None:
                mend = f"model.load_weights({path.name!r}) and model.save('{path.name.partition('.')[0]}.keras')"
                raise LettercastError(f"{path}: holds weights and no layers; build the model as it was trained, then {mend}")
            config = json.loads(config)
    except LettercastError:
        raise
    except Exception as error:  # a damaged file raises all kinds of errors
        raise LettercastError(f"{path}: a damaged HDF5 file ({first_line(error)}); save or copy it again") from error
    refuse_size(path, size)
    return Saved(config, _text(version), is_hdf5=True)


def _datasets(group: Any) -> Iterator[Any]:
    """Yield the arrays below a group of an HDF5 file that lie in the file itself."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        part: Any = group[name] if isinstance(link, h5py.HardLink) else None
        if isinstance(part, h5py.Group):
            yield from _datasets(part)
        elif isinstance(part, h5py.Dataset) and not part.is_virtual and not part.external:
            yield part
        else:
            raise LettercastError(f"{group.file.filename}: refers to other files for its weights; save the model again")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def read_archive(path: Path) -> Saved:
    """Read the description from a `.keras` archive; raises LettercastError if it is not one, or is damaged."""
    # Checks the archive and its size.
    keras_facts(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if CONFIG not in names:
                hint = (
                    "a PyTorch model" if any(name.endswith("data.pkl") for name in names) else f"a zip archive without {CONFIG}"
                )
                raise LettercastError(f"{path}: not a .keras model but {hint}; save the Keras model with model.save()")
            config = json.loads(archive.read(CONFIG))
            metadata = json.loads(archive.read(METADATA)) if METADATA in names else {}
            if broken := archive.testzip():
                raise ValueError(f"{broken} is damaged")
    except LettercastError:
        raise
    except Exception as error:  # a damaged archive raises all kinds of errors
        raise LettercastError(f"{path}: a damaged .keras model ({first_line(error)}); save or copy it again") from error
    return Saved(config, str(metadata.get("keras_version", "")) or "3", is_hdf5=False)


def refuse_size(path: Path, size: int) -> None:
    """Raise LettercastError if a file unpacks to more bytes than a network for small devices has."""
    if size > MAX_UNPACKED_BYTES:
        reason = f"unpacks to {size / 1e9:.3g} GB, far more than a network for small devices"
        raise LettercastError(f"{path}: {reason}; save it again")


def copy_adapted(path: Path, saved: Saved, copy: Path) -> None:
    """Copy a model under an ending that Keras knows, with the description of Keras 2 in the words of Keras 3."""
    import h5py

    config = in_keras_3(saved.config) if saved.is_keras_2 else saved.config
    if saved.is_hdf5:
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
        return
    if saved.is_keras_2:
        places = {"Sequential": "keras", "Functional": "keras.src.models.functional"}
        config |= {"module": places.get(config["class_name"]), "registered_name": config["class_name"]}
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as adapted:
        adapted.writestr(CONFIG, json.dumps(config))
        for name in (METADATA, WEIGHTS):
            adapted.writestr(name, archive.read(name))


@contextmanager
def explained(path: Path, saved: Saved) -> Iterator[None]:
    """Turn what Keras raises while it loads a file into a LettercastError that says what to do."""
    import keras

    try:
        yield
    except LettercastError:
        raise
    except Exception as error:  # Keras passes on what its layers raise
        reason = first_line(error)
        if "Lambda" in str(error) or "lambda" in reason:
            reason = "has a Lambda layer, which is code inside the file and is never run"
            raise LettercastError(f"{path}: {reason}; use a layer of Keras instead, such as Rescaling") from error
        if missing := UNKNOWN.search(str(error)):
            raise unknown_object(path, missing[1]) from error
        mend = "save it again with model.save()"
        if _numbers(saved.version) > _numbers(keras.__version__):
            mend = f"Keras {saved.version} saved it and this is Keras {keras.__version__}: pip install -U keras"
        elif saved.is_keras_2:
            mend = f"Keras {saved.version or 2} saved it; build the same layers in Keras 3, and copy the weights"
        raise LettercastError(f"{path}: Keras cannot load it ({reason}); {mend}") from error


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare two."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
