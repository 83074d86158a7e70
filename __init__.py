"""Read handwritten letters on small devices: train a Keras CNN, export and check it, read letters from a camera.

These are the functions to use; each package is loaded only when you import it:

    from lettercast.train import train, evaluate          # needs lettercast[train]
    from lettercast.export import export                  # needs lettercast[export]
    from lettercast.benchmarks import benchmark           # needs lettercast[export]
    from lettercast.bulk import read_archive, review      # needs lettercast[bulk]
    from lettercast.runtime import Reader                 # needs lettercast[reader]

    page = Reader("letters-nano").read("page.jpg")
    print(page.text)

`help(lettercast.runtime)`, `help(lettercast.train.train)` and so on say what each takes and returns. The same functions are
behind the `lettercast` command: `lettercast --help`.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Exit codes of the command: MISSED if a gate or threshold was missed, UNUSABLE if the input cannot be used.
DONE, MISSED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

__all__ = ["LettercastError", "__version__", "benchmarks", "bulk", "export", "runtime", "train"]  # pyright: ignore[reportUnsupportedDunderAll]

PACKAGES = ("benchmarks", "bulk", "export", "runtime", "train")


class LettercastError(Exception):
    """The input cannot be used. The message is one line: what is wrong, where, and how to fix it."""


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that imports each name from its module when it is asked for.

    Args:
        package: the package's name.
        homes: for each name the module that defines it, relative to the package; the name itself for a package.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes[name]}")
        found = module if homes[name] == name else getattr(module, name)
        # The next use finds it without this function.
        setattr(sys.modules[package], name, found)
        return found

    return get


__getattr__ = lazily(__name__, {name: name for name in PACKAGES})
