"""Start the keeper by its file, in an isolated interpreter without site (python -I -S): half of an interpreter's start is looking for packages.

The first arguments are `--path DIRECTORY` for each directory that modules are to be found in.
"""

import sys

arguments = sys.argv[1:]
while arguments[:1] == ["--path"]:
    sys.path.append(arguments[1])
    del arguments[:2]

from sanbashi.keeper.main import main  # noqa: E402  the path has to be there first

sys.exit(main(arguments))
