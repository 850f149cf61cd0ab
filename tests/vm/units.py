"""The units of packaging/: activation by the socket, its group, and restarts under which containers, monitors and keeper stay."""

from __future__ import annotations

from pathlib import Path

from tests.vm.facts import Line, eventually, fact, import_busybox, inspect, own_addresses, pid_of, processes, sh

SOCKET = "/run/sanbashi/sanbashi.sock"
ECHO = "nc -ll -p 7 -e cat"


def check_units() -> None:
    """Everything that `systemctl` does to a daemon that has containers."""
    print("units")
    print("  " + sh("packaging/install"))
    fact(
        "the socket belongs to root and the group sanbashi, mode 0660", sh(f"stat -c %U:%G:%a {SOCKET}") == "root:sanbashi:660", sh(f"stat {SOCKET}")
    )
    sh("useradd -G sanbashi member; useradd stranger")
    fact("a member of the group may", "Server" in sh("runuser -u member -- sanbashi version", check=False))
    fact("others may not", "ermission denied" in sh("runuser -u stranger -- sanbashi version", check=False))
    fact(
        "Delegate and KillMode are in force",
        sh("systemctl show -P KillMode sanbashi") == "process" and sh("systemctl show -P Delegate sanbashi") == "yes",
    )
    sh("systemctl stop sanbashi.service")
    fact(
        "stopped by systemctl, the socket still listens",
        sh("systemctl is-active sanbashi.service sanbashi.socket", check=False) == "inactive\nactive",
    )
    fact("a client's request starts the service", "Server" in sh("sanbashi version"))
    import_busybox()
    sh("sanbashi network create app")
    sh(f"sanbashi run -d --name web --network app -p 8007:7 --restart unless-stopped bb {ECHO}")
    sh("sanbashi run -d --name other --network app --restart always bb sleep 1000000")
    for address in ["127.0.0.1", *own_addresses()]:
        check_life(address)
    check_stopped_meanwhile()
    check_killed()


def check_life(address: str) -> None:
    """A restart and a connection through the published port."""
    line = Line(address, 8007)
    fact(f"{address}:8007 reaches the container", line.lives())
    before = pid_of("web"), pid_of("other"), processes("conmon"), processes("sanbashi/keeper"), sh("systemctl show -P MainPID sanbashi")
    sh("systemctl restart sanbashi.service")
    after = pid_of("web"), pid_of("other"), processes("conmon"), processes("sanbashi/keeper"), sh("systemctl show -P MainPID sanbashi")
    fact(
        "`systemctl restart` makes a new daemon, and pids of containers, monitors and keeper stay",
        before[:4] == after[:4] and before[4] != after[4],
        (before, after),
    )
    fact("the connection through the published port has not noticed", line.lives())
    fact("there are two monitors and one keeper", (len(after[2]), len(after[3])) == (2, 1), after)


def check_stopped_meanwhile() -> None:
    """The daemon away for a while: the data path and the names stay; an end in the meantime is seen at the start."""
    line, pid = Line("127.0.0.1", 8007), pid_of("other")
    sh("systemctl stop sanbashi.socket sanbashi.service")
    fact("with socket and service stopped the connection lives", line.lives() and Line("127.0.0.1", 8007).lives())
    named = sh(f"nsenter -t {pid} -m -n -r -- /bin/nslookup web 127.0.0.11", check=False)
    fact("names are answered", "Address" in named.split("web", 1)[-1], named)
    sh(f"kill -9 {pid}")
    sh("systemctl start sanbashi.socket sanbashi.service")
    fact(
        "a container that ended meanwhile is started again by its policy",
        eventually(lambda: inspect("other")["State"]["Running"]) and pid_of("other") != pid,
    )
    fact("the connection lives", line.lives())
    left = sh("systemd-cgls --no-pager --full -u sanbashi.service", check=False)
    fact("monitors and keeper are in the unit's control group", left.count("conmon") == 2 and "sanbashi/keeper" in left, left)


def check_killed() -> None:
    """kill -9: systemd starts it again."""
    line, main = Line("127.0.0.1", 8007), sh("systemctl show -P MainPID sanbashi")
    sh(f"kill -9 {main}")
    fact(
        "killed, it is started again",
        eventually(
            lambda: sh("systemctl is-active sanbashi", check=False) == "active" and sh("systemctl show -P MainPID sanbashi") not in ("0", main)
        ),
    )
    fact("and the connection lives", line.lives() and "web" in sh("sanbashi ps --format '{{.Names}}'"))


def check_without_live_restore() -> None:
    """`--live-restore=false`: a stop of the service ends the containers, and the keeper goes when nothing needs it."""
    print("without live restore")
    drop_in = Path("/etc/systemd/system/sanbashi.service.d/live.conf")
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/local/bin/sanbashid --host=fd:// --live-restore=false\n")
    sh("systemctl daemon-reload; systemctl restart sanbashi.service")
    pids = pid_of("web"), pid_of("other")
    sh("systemctl stop sanbashi.service")
    fact("the containers are stopped", not any(Path(f"/proc/{pid}").exists() for pid in pids) and not processes("conmon"))
    fact("the keeper has gone", eventually(lambda: not processes("sanbashi/keeper"), 30), processes("sanbashi/keeper"))
    sh("systemctl start sanbashi.service")
    fact(
        "at the start they come back by their policies",
        eventually(lambda: inspect("web")["State"]["Running"] and inspect("other")["State"]["Running"]),
    )
    fact("and the port with them", eventually(lambda: Line("127.0.0.1", 8007).lives()))
    drop_in.unlink()
    sh("systemctl daemon-reload; systemctl restart sanbashi.service")
