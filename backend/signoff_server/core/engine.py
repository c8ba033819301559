"""The extension of the package `cel`, loaded by importing this.

The package brings a command line along whose import takes half a second, so the extension is loaded alone.
"""

import importlib.util
from importlib.machinery import PathFinder
from typing import Any, Final


def _load() -> Any:
    package = importlib.util.find_spec("cel")
    spec = PathFinder.find_spec("cel", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        raise ImportError("the package common-expression-language is not installed: install signoff[server]")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ENGINE: Final = _load()
