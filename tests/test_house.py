"""The architecture as a test: who imports whom, what a pure folder may reach for, no cycles, captions as docs/map.md has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "sanbashi"

# folder: what it may import of ours. "network.model" is that module alone; a folder's own modules are always allowed.
ARROWS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "records": (),
    "network": ("errors", "records"),
    "volumes": ("errors", "records"),
    "images": ("errors", "records", "containers.model"),
    "containers": ("errors", "records", "network.model", "images.model", "volumes.model"),
    "dhcp": ("errors", "records", "network.lease"),
    "resolver": ("errors", "records", "network.model", "network.picture"),
    "keeper": ("errors", "records", "resolver", "dhcp", "network.lease", "network.model", "network.picture", "network.spelling"),
    "host": (
        "errors",
        "records",
        "network.lease",
        "network.model",
        "network.picture",
        "network.plan",
        "network.ruleset",
        "network.spelling",
        "network.why.facts",
        "containers",
        "images",
        "volumes",
        "keeper.protocol",
        "resolver.wire",
    ),
    "daemon": ("errors", "records", "network", "containers", "images", "volumes", "host"),
    "api": ("errors", "records", "network", "containers", "images", "volumes", "daemon"),
    "cli": ("errors",),
}
# Where the daemon's program starts it wires everything, the server among it, by name.
WIRING = {"daemon.main": ("api.server",), "daemon.building": ("api.server",)}
PURE = ("network", "dhcp", "resolver", "containers", "images", "volumes")
WORLD = {"os", "socket", "subprocess", "time", "random", "secrets", "asyncio", "threading", "shutil", "tempfile", "urllib3", "ctypes", "fcntl"}
# A swarm has managers: there it is the domain's word.
DOMAIN_WORDS = {"api.routes.swarm.not_a_manager"}
NO_SUCH_WORDS = re.compile(r"(?:^|_)(?:manager|helper|helpers|util|utils)(?:_|$)", re.IGNORECASE)


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name below sanbashi, file) of every module."""
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(p for p in parts if p != "__init__"), file


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(name: str, file: Path, *, typing_too: bool = True) -> Iterator[tuple[str, int]]:
    """(dotted name of ours, line) of what a module imports; names are those of modules, not of what is in them."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in walk(tree(file), typing_too):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                yield as_module([*base, alias.name]), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sanbashi":
            for alias in node.names:
                yield as_module([*node.module.split(".")[1:], alias.name]), node.lineno


def walk(node: ast.AST, typing_too: bool) -> Iterator[ast.AST]:
    """Every node; what stands under `if TYPE_CHECKING` only where it is wanted: it is never run."""
    for child in ast.iter_child_nodes(node):
        if not typing_too and isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from walk(child, typing_too)


def as_module(parts: list[str]) -> str:
    """The module that an import reaches: `network.model.Network` is `network.model`."""
    there = SOURCE.joinpath(*parts)
    if there.with_suffix(".py").exists() or there.is_dir():
        return ".".join(parts)
    return ".".join(parts[:-1])


def test_arrows() -> None:
    wrong = []
    for name, file in modules():
        folder = name.split(".")[0]
        if folder not in ARROWS:
            continue
        allowed = (*ARROWS[folder], folder, *WIRING.get(name, ()))
        for reached, line in imports(name, file):
            if reached and not any(reached == a or reached.startswith(a + ".") for a in allowed):
                wrong.append(f"{name}:{line} imports {reached}; {folder} may import {', '.join(ARROWS[folder]) or 'nothing of ours'}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_is_in_the_picture() -> None:
    assert {name.split(".")[0] for name, _ in modules() if name} - {"errors"} <= set(ARROWS)


@pytest.mark.parametrize("folder", PURE)
def test_pure_folders_only_think(folder: str) -> None:
    wrong = []
    for file in sorted((SOURCE / folder).rglob("*.py")):
        for node in ast.walk(tree(file)):
            reached: set[str] = set()
            if isinstance(node, ast.Import):
                reached = {alias.name.split(".")[0] for alias in node.names} & WORLD
            elif isinstance(node, ast.ImportFrom) and not node.level:
                reached = {(node.module or "").split(".")[0]} & WORLD
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
                reached = {"open()"}
            wrong += [f"{file.relative_to(SOURCE)}:{node.lineno} reaches for {what}: the world is an argument" for what in reached]
    assert not wrong, "\n".join(wrong)


def test_no_cycles() -> None:
    """No ring of modules that import one another, when they are loaded or when a function of theirs runs."""
    graph = {name: {reached for reached, _ in imports(name, file, typing_too=False) if reached != name} for name, file in modules()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for reached in sorted(graph.get(name, ())):
            # A package's own file is loaded before its modules; it imports nothing.
            if not name.startswith(reached + "."):
                visit(reached, (*path, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_captions() -> None:
    """A folder's docstring is its caption in docs/map.md."""
    source = (PROJECT / "docs" / "map.md").read_text(encoding="utf-8").partition("## Beside the source")[0]
    rows = re.findall(r"^\| `([\w/]+)` \| (.+) \|$", source, re.MULTILINE)
    captions = {("" if folder == "sanbashi" else folder): caption for folder, caption in rows}
    found = {}
    for file in sorted(SOURCE.rglob("__init__.py")):
        folder = str(file.parent.relative_to(SOURCE)).removeprefix(".")
        found[folder] = (ast.get_docstring(tree(file)) or "").split("\n")[0]
    assert found == captions


def test_words() -> None:
    """Names say what a thing does: no manager, helper or util."""
    wrong = [name for name, _ in modules() if any(NO_SUCH_WORDS.search(part) for part in name.split("."))]
    for name, file in modules():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name)
                wrong += [f"{name}.{node.name}"] if NO_SUCH_WORDS.search(snake) else []
    assert set(wrong) <= DOMAIN_WORDS, wrong


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, file in modules() if not ast.get_docstring(tree(file))]
    assert not silent, silent
