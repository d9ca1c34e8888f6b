"""Which modules are the application's own: only their functions may be named in a store."""

from __future__ import annotations

from pathlib import Path


def source_root(file: str | None, module: str = "__main__") -> Path | None:
    """The folder whose modules belong to the application that lives in `file`.

    Beside a plain module that is its own folder; for a module in a package, the folder that holds the package, so that
    sibling packages belong too, unless that is where third-party code is installed: then the package alone.

    Args:
        file: of the application's module; None: there is none, as in an interactive session.
        module: its dotted name, which tells the packages above it even where no `__init__.py` does.
    """
    if file is None:
        return None
    folder = Path(file).resolve().parent
    above = module.split(".") if Path(file).stem == "__init__" else module.split(".")[:-1]
    package = None
    while (folder / "__init__.py").is_file() or above[-1:] == [folder.name]:
        package, folder = folder, folder.parent
        above = above[:-1]
    return package if package is not None and _third_party(folder / "x") else folder


def _third_party(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def belongs(module: object, root: Path | None) -> bool:
    """Whether an imported module was loaded from below the root, and is not third-party code that was put there."""
    file = getattr(module, "__file__", None)
    if file is None or root is None:
        return False
    path = Path(file).resolve()
    return path.is_relative_to(root) and not _third_party(path.relative_to(root))


def may_import(module_name: str, root: Path | None) -> bool:
    """Whether the root holds the source of this module. Looked up without importing anything."""
    if root is None or not all(part.isidentifier() for part in module_name.split(".")):
        return False
    base = root.parent if (root / "__init__.py").is_file() else root
    path = base.joinpath(*module_name.split("."))
    return path.is_relative_to(root) and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file())
