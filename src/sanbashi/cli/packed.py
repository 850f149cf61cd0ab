"""The code of all of the client's modules in one file: an import then looks into no folder. scripts/pack-client writes it."""

import posix
import sys
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    # The source's place below the folder, its mtime (ns) and size, where its code begins and how long it is, whether it is a package.
    Entry = tuple[str, int, int, int, int, bool]
else:
    ModuleSpec = type(sys.__spec__)  # importlib.machinery costs an import
    ModuleType = type(sys)


class Pack:
    """A finder and loader of the modules in the file, of those whose source has not been changed since; all others come as they always do."""

    def __init__(self, folder: str, file: int, index: "dict[str, Entry]", codes: int) -> None:
        self.folder = folder
        self.file = file
        self.index = index
        self.codes = codes

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """What importlib asks every finder."""
        if name not in self.index:
            return None
        place, moment, size, _, _, package = self.index[name]
        source = f"{self.folder}/{place}"
        try:
            there = posix.stat(source)
        except OSError:
            return None
        if there.st_mtime_ns != moment or there.st_size != size:
            return None
        spec = ModuleSpec(name, self, origin=source, is_package=package)  # type: ignore[arg-type]
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(source.rpartition("/")[0])
        return spec

    def fill(self, usual: "tuple[tuple[str, CodeType], ...]") -> None:
        """Make the modules that every command uses, each after those that it imports: importlib takes as long for a module as its code does.

        Nothing is made where one of them has been changed.
        """
        specs = [self.find_spec(name) for name, _ in usual]
        if None in specs:
            return
        for (name, code), spec in zip(usual, specs, strict=True):
            if spec is None or name in sys.modules:
                continue
            module = ModuleType(name)
            module.__spec__, module.__loader__, module.__package__ = spec, self, spec.parent  # type: ignore[assignment]
            if spec.submodule_search_locations is not None:
                module.__path__ = spec.submodule_search_locations
            sys.modules[name] = module
            exec(code, module.__dict__)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)

    def create_module(self, spec: "ModuleSpec") -> None:
        """The usual kind."""

    def exec_module(self, module: "ModuleType") -> None:
        """Fill a module."""
        _, _, _, begin, size, _ = self.index[module.__name__]
        exec(loads(posix.pread(self.file, size, self.codes + begin)), module.__dict__)
