"""Which way imports may point, type imports included, and that they make no circle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"signoff": ROOT / "sdk" / "signoff", "signoff_server": ROOT / "backend" / "signoff_server"}

# Room -> the rooms that it may import from; the longest prefix of a module names its room.
SERVER = "signoff_server"
ROOMS: dict[str, tuple[str, ...]] = {
    "signoff.protocol": (),
    "signoff.errors": ("signoff.protocol",),
    "signoff.flow": ("signoff.protocol", "signoff.errors"),
    "signoff.config": ("signoff.errors", "signoff.protocol"),
    "signoff.worker": (
        "signoff.protocol",
        "signoff.errors",
        "signoff.config",
        "signoff.retry",
        "signoff.transport",
        "signoff.wire",
        "signoff.exchange",
        "signoff.calls",
        "signoff.asking",
        "signoff.engine",
        "signoff.background",
        "signoff._version",
    ),
    "signoff.cli": ("signoff",),
    f"{SERVER}.core": ("signoff.protocol.canonical", "signoff.protocol.proof"),
    f"{SERVER}.world": (f"{SERVER}.core",),
    f"{SERVER}.settings": (),
    f"{SERVER}.wakeups": (),
    f"{SERVER}.limits": (),
    f"{SERVER}.store": (f"{SERVER}.core", f"{SERVER}.world", "signoff.protocol"),
    f"{SERVER}.service": (
        f"{SERVER}.store",
        f"{SERVER}.core",
        f"{SERVER}.world",
        f"{SERVER}.wakeups",
        "signoff.protocol",
    ),
    f"{SERVER}.runner": (
        f"{SERVER}.service",
        f"{SERVER}.store",
        f"{SERVER}.core",
        f"{SERVER}.world",
        f"{SERVER}.wakeups",
    ),
    f"{SERVER}.web": (
        f"{SERVER}.service",
        f"{SERVER}.store",
        f"{SERVER}.wakeups",
        f"{SERVER}.settings",
        f"{SERVER}.limits",
        f"{SERVER}.world",
        f"{SERVER}.core",
        "signoff.protocol",
    ),
    f"{SERVER}.dashboard": (
        f"{SERVER}.web",
        f"{SERVER}.service",
        f"{SERVER}.store",
        f"{SERVER}.wakeups",
        f"{SERVER}.world",
        f"{SERVER}.core",
        "signoff.protocol",
    ),
    f"{SERVER}.serving": (f"{SERVER}.web", f"{SERVER}.limits", f"{SERVER}.settings"),
    f"{SERVER}.dev_worker": (f"{SERVER}.service", f"{SERVER}.settings"),
    f"{SERVER}.app": (SERVER, "signoff.protocol"),
    f"{SERVER}.commands": (SERVER,),
}
PURE = {
    "time",
    "random",
    "secrets",
    "os",
    "uuid",
    "asyncio",
    "threading",
    "socket",
    "sqlite3",
    "pydantic",
    "sqlalchemy",
    "sqlmodel",
}
DATABASES = re.compile("sqlite|postgres|psycopg|pragma|pg_", re.IGNORECASE)
NOBODY_IMPORTS = {f"{SERVER}.app": {f"{SERVER}.commands"}, f"{SERVER}.commands": set(), "signoff.cli": set()}


def modules() -> dict[str, Path]:
    found = {}
    for name, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((name, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[str]:
    """The modules that `module` imports, wherever in it, of ours by their full name."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


OURS = {module: {name for name in imports(module) if name in MODULES} for module in MODULES}


def room(module: str) -> str:
    fitting = [name for name in ROOMS if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default=module)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_arrows_point_the_right_way(module: str) -> None:
    allowed = (room(module), *ROOMS.get(room(module), ("signoff",)))
    if module.startswith("signoff."):
        assert not any(within(name, SERVER) for name in OURS[module])
    wrong = {name for name in OURS[module] if not any(within(name, prefix) for prefix in allowed)}
    assert not wrong


@pytest.mark.parametrize("target", sorted(NOBODY_IMPORTS))
def test_the_roofs_carry_nothing(target: str) -> None:
    importers = {module for module, names in OURS.items() for name in names if within(name, target)}
    assert {module for module in importers if not within(module, target)} <= NOBODY_IMPORTS[target]


def test_there_is_no_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for name in OURS[module] - {module}:
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(MODULES):
        visit(module, ())


@pytest.mark.parametrize("module", sorted(name for name in MODULES if within(name, f"{SERVER}.core")))
def test_the_core_is_pure(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(module)} & PURE


def test_only_their_rooms_read_the_clock_and_the_environment() -> None:
    allowed = {
        "environ": {f"{SERVER}.world", f"{SERVER}.settings", "signoff.config"},
        "time_ns": {f"{SERVER}.world"},
        "token_bytes": {f"{SERVER}.world"},
        "uuid7": {f"{SERVER}.world"},
    }
    for module, path in MODULES.items():
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        for name, rooms in allowed.items():
            assert name not in names or module in rooms or not within(module, SERVER), (module, name)


def test_one_file_names_a_database() -> None:
    for module in MODULES:
        if within(module, SERVER) and module != f"{SERVER}.store.dialects":
            named = {word for word in words(module) if DATABASES.search(word)}
            assert not named, (module, named)


def test_the_one_that_names_them_is_seen_to() -> None:
    named = {found[0].lower() for word in words(f"{SERVER}.store.dialects") for found in DATABASES.finditer(word)}
    assert named == {"sqlite", "postgres", "psycopg", "pragma", "pg_"}


def words(module: str) -> Iterator[str]:
    """Every name and every text in the code of a module, but what its docstrings say."""
    tree = ast.parse(MODULES[module].read_text())
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) not in said:
            for _, value in ast.iter_fields(node):
                yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
