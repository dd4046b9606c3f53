"""A new strategy package, that passes the conformance kit at once: ``python -m atm_core new atm-something``."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Union

from atm_core.discovery import installed_strategies
from atm_core.errors import SettingError

if TYPE_CHECKING:
    import os

__all__ = ["create"]

# Where each file of the template goes.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "__init__.py.txt": "src/$module/__init__.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
    "test_strategy.py.txt": "tests/test_$name.py",
}


def create(name: str, directory: Union[str, os.PathLike[str]] = ".") -> Path:
    """Write the package; nothing that exists is changed.

    Args:
        name: Of the distribution: ``atm-something``, or ``something``; lower-case words with hyphens, of letters and
            digits, the first one of which is a letter.
        directory: Where its own directory is to stand.

    Returns:
        The new directory.

    Raises:
        SettingError: The name cannot be one, or belongs to an installed strategy or module.
        FileExistsError: The directory is there already.
    """
    words = _words(name)
    root = Path(directory) / words["distribution"]
    root.mkdir(parents=True)
    for template, place in _FILES.items():
        data = pkgutil.get_data("atm_core", f"_template/{template}")
        assert data is not None
        path = root / string.Template(place).substitute(words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(string.Template(data.decode("utf-8")).substitute(words), encoding="utf-8")
    (root / "src" / words["module"] / "py.typed").touch()
    return root


def _words(name: str) -> Dict[str, str]:
    """What stands for ``$distribution``, ``$module``, ``$name`` and ``$strategy``."""
    own = re.fullmatch(r"(?:atm-|(?!atm-))([a-z][a-z0-9]*(?:-[a-z0-9]+)*)", name) if isinstance(name, str) else None
    if own is None or name == "atm":
        raise SettingError(
            "name must be lower-case words with hyphens, the first one with a letter at its start, "
            f"such as atm-something, got {name!r}",
            "name",
            name,
        )
    strategy = own.group(1).replace("-", "_")
    distribution, module = f"atm-{own.group(1)}", f"atm_{strategy}"
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:  # without an origin it is any directory of that name
        raise SettingError(
            f"name must be a new one, but there is a module {module} at {spec.origin}, got {name!r}", "name", name
        )
    if strategy == "conformance":
        raise SettingError(f"name must not be that of the kit's test module, got {name!r}", "name", name)
    for one in installed_strategies():
        if one.name == strategy:
            owner = f"{one.distribution} {one.version}"
            raise SettingError(
                f"name must be a new one, but {owner} offers a strategy {strategy!r}, got {name!r}",
                "name",
                name,
            )
    title = "".join(word.capitalize() for word in strategy.split("_"))
    return {"distribution": distribution, "module": module, "name": strategy, "strategy": f"{title}Strategy"}
