"""`python -m tests.vm live`, then `before`, a reboot, and `after`: in a throw-away machine of scripts/vm, as root."""

from __future__ import annotations

import sys

from tests.vm.boots import check_boot, prepare_boot
from tests.vm.facts import failed, only_in_a_throw_away_machine
from tests.vm.limits import check_info, check_limits
from tests.vm.units import check_units, check_without_live_restore


def live() -> None:
    check_units()
    check_without_live_restore()
    check_info()
    for runtime in ("crun", "runc"):
        check_limits(runtime)


PARTS = {"live": live, "before": prepare_boot, "after": check_boot}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    only_in_a_throw_away_machine()
    PARTS[sys.argv[1]]()
    print(f"{len(failed)} failed" + "".join(f"\n  {words}" for words in failed))
    sys.exit(bool(failed))
