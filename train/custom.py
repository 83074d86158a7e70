"""Code of your own that a Keras model needs: its classes and functions, and the Python file that defines them."""

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.machinery import SourceFileLoader
from inspect import isclass, isfunction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import LettercastError
from ..runtime.console import first_line
from .keras2 import OPERATIONS

if TYPE_CHECKING:
    import keras

# What was imported, as Keras keeps its registered objects: for the whole process.
_IMPORTED: list[str] = []


def objects_of(model: "keras.Model") -> dict[str, Any]:
    """Return the classes and functions of the user's own that a network in memory consists of, by their names."""
    layers = list(model._flatten_layers())
    parts = [type(layer) for layer in layers] + [part for layer in layers for part in vars(layer).values() if isfunction(part)]
    return {part.__name__: part for part in parts if part.__module__.partition(".")[0] not in ("keras", "tensorflow")}


def use_custom(name: str | Path | None) -> None:
    """Import the Python file or module that defines layers and functions of a model, for Keras to find them by their names.

    None is nothing to import. Raises LettercastError with the line if it cannot be imported.
    """
    if name is None:
        return
    import keras

    path, where = Path(name), f"--custom {name}"
    try:
        with redirect_stdout(sys.stderr):
            module = _import(path) if path.suffix == ".py" or path.is_file() else _import_named(str(name))
    except FileNotFoundError as error:
        if Path(error.filename or "") != path:
            raise LettercastError(f"{where}: {_line(error, path)}{error}; mend it") from error
        raise LettercastError(f"{where}: no such file; name the Python file that defines the model's layers") from error
    except ModuleNotFoundError as error:
        if error.name != str(name).partition(".")[0]:
            raise LettercastError(f"{where}: {_line(error, path)}{error}; install it") from error
        raise LettercastError(
            f"{where}: no such module; name a Python file, such as my_layers.py, or an installed module"
        ) from error
    except (Exception, SystemExit) as error:  # it is any program
        raise LettercastError(f"{where}: {_line(error, path)}{type(error).__name__}: {first_line(error)}; mend it") from error
    _IMPORTED.append(str(path.resolve()) if path.is_file() else str(name))
    own = {name: part for name, part in vars(module).items() if isclass(part) or isfunction(part)}
    keras.saving.get_custom_objects().update(
        {name: part for name, part in own.items() if part.__module__.partition(".")[0] not in ("keras", "tensorflow")}
    )


def imported() -> Sequence[str]:
    """Return the files and modules that `use_custom` imported, for another process to import them, too."""
    return tuple(_IMPORTED)


def _import(path: Path) -> ModuleType:
    """Import a Python file, which may import others beside it."""
    if not path.exists():
        raise FileNotFoundError(None, None, str(path))
    # A name of its own: the file may be called as a package that is imported already.
    loader = SourceFileLoader(f"custom_{path.stem}", str(path))
    module = ModuleType(loader.name)
    module.__file__ = str(path)
    sys.modules[loader.name] = module
    with _importable(path.resolve().parent):
        loader.exec_module(module)
    return module


def _import_named(name: str) -> ModuleType:
    """Import a module by its dotted name; the current folder is searched, too."""
    with _importable(Path.cwd()):
        return importlib.import_module(name)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported meanwhile."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _line(error: BaseException, path: Path) -> str:
    """Return the line of the user's own code at which an error arose, as the beginning of a message; "" if there is none."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    inside = [frame for frame in own if path.suffix == ".py" and Path(frame.filename).name == path.name]
    return f"line {inside[-1].lineno}: " if inside else ""


def find_objects(path: Path, config: Any) -> dict[str, Any]:
    """Return the classes and functions of the user's own that a description names, as `use_custom` registered them.

    Raises LettercastError for code inside the file, which is never run, and for objects that nobody registered.
    """
    import keras

    find = keras.saving.get_registered_object
    found: dict[str, Any] = {}
    for name in own_names(path, config):
        bare = name.rpartition(">")[2]
        match = find(name) or find(bare)
        if match is None:
            raise unknown_object(path, name)
        found[name] = match
    return found


def unknown_object(path: Path, name: str) -> LettercastError:
    """Return the error for a class or function that a model needs and nobody imported."""
    hint = "name the Python file that defines it with --custom FILE.py"
    return LettercastError(f"{path}: needs {name}, which is not a part of Keras; {hint}")


def own_names(path: Path, part: Any) -> Iterator[str]:
    """Yield the registered names of the objects in a description that are not Keras' own; raises LettercastError for code."""

    if isinstance(part, list):
        for one in part:
            yield from own_names(path, one)
    if not isinstance(part, dict):
        return
    kind, module, registered = (part.get(name) for name in ("class_name", "module", "registered_name"))
    function = part["config"].get("function") if kind == "Lambda" and isinstance(part.get("config"), dict) else None
    if kind == "__lambda__" or isinstance(function, list):
        reason = "has a Lambda layer, which is code inside the file and is never run"
        raise LettercastError(f"{path}: {reason}; use a layer of Keras instead, such as Rescaling")
    if isinstance(kind, str) and "config" in part:
        is_own = bool(registered) and ">" in str(registered)
        if kind == "function":
            is_own = is_own or (module not in (None, "builtins") and not str(module).startswith("keras"))
            kind = registered if registered not in (None, "function") else part["config"]
            is_own = is_own or ">" in str(kind)
        elif "module" in part:
            is_own = is_own or not str(module or "").startswith("keras")
        else:
            is_own = ">" in kind
        if is_own and not kind.startswith("__") and kind not in OPERATIONS:
            yield str(kind if registered in (None, "function") else registered)
    for name, one in part.items():
        if name not in ("compile_config", "inbound_nodes"):
            yield from own_names(path, one)
