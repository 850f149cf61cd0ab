"""What the verbs answer to good and to wrong use, word for word, as Docker's CLI 28 has it: the rows of test_cli.test_verbs."""

from __future__ import annotations

SAYS = "Error response from daemon: "
WEB_PORTS = "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n81/udp -> 127.0.0.1:8081\n"
BAD_NAME = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
SET_UP = """set -e
$D network create --subnet 10.90.0.0/24 side
$D run -d --name web -p 8080:80 -p 127.0.0.1:8081:81/udp --stop-signal KILL busybox sleep 1000
$D create --name idle busybox true
$D run -d --name swapped --memory 100m --memory-swap -1 busybox sleep 1000
$D run -d --name still busybox sleep 1000
$D pause still
cd $TMPDIR; rm -rf verbs; mkdir -p verbs/out verbs/folder; cd verbs; echo f >file; echo x >folder/within; ln -s file link; cp -a /dev/zero device
"""

# command, exit status, standard output, standard error; IDLE stands for the id of idle.
ROWS: tuple[tuple[str, int, str, str], ...] = (
    # port
    ("port web", 0, WEB_PORTS, ""),
    ("port web ''", 0, WEB_PORTS, ""),
    ("port web 81/udp", 0, "127.0.0.1:8081\n", ""),
    ("port web 81", 1, "", "Error: No public port '81' published for web\n"),
    ("port web 99999", 1, "", 'Error: invalid port (99999): strconv.ParseUint: parsing "99999": value out of range\n'),
    ("port web/x", 1, "", f"{SAYS}No such container: web/x\n"),
    ("port idle", 0, "", ""),
    # networks
    ("network connect --ip 10.90.0.77 side web", 0, "", ""),
    ("network connect side web", 1, "", f"{SAYS}endpoint with name web already exists in network side\n"),
    ("network connect nosuch web", 1, "", f"{SAYS}network nosuch not found\n"),
    ("network connect side nosuch", 1, "", f"{SAYS}No such container: nosuch\n"),
    ("network connect '' web", 1, "", "invalid network name or ID: value is empty\n"),
    ("port web 80/tcp", 0, "0.0.0.0:8080\n[::]:8080\n", ""),
    ("exec web sh -c 'ip -o -4 addr | grep -c 10.90.0.77'", 0, "1\n", ""),
    ("network disconnect side web", 0, "", ""),
    ("network disconnect side nosuch", 1, "", f"{SAYS}No such container: nosuch\n"),
    ("network prune --filter until=bogus -f", 1, "", f'{SAYS}invalid value for "until": failed to parse "bogus" as a time or a duration\n'),
    ("network prune --filter label=nosuch -f", 0, "", ""),
    # kill, stop, restart, wait
    ("kill nosuch", 1, "", f"{SAYS}cannot kill container: nosuch: No such container: nosuch\n"),
    ("kill idle", 1, "", f"{SAYS}cannot kill container: idle: container IDLE is not running\n"),
    ("kill -s NOSUCH web", 1, "", f"{SAYS}cannot kill container: web: invalid signal: NOSUCH\n"),
    ("kill web/x", 1, "", f"{SAYS}cannot kill container: web/x: No such container: web/x\n"),
    ("stop -s NOSUCH web", 1, "", f"{SAYS}cannot stop container: web: invalid signal: NOSUCH\n"),
    ("stop nosuch idle", 1, "idle\n", f"{SAYS}No such container: nosuch\n"),
    ("stop --time 3 idle", 0, "Flag --time has been deprecated, use --timeout instead\nidle\n", ""),
    ("restart -s NOSUCH web", 1, "", f"{SAYS}Cannot restart container web: invalid signal: NOSUCH\n"),
    ("restart nosuch", 1, "", f"{SAYS}No such container: nosuch\n"),
    ("wait idle nosuch", 1, "0\n", f"{SAYS}No such container: nosuch\n"),
    # rename, top, exec, stats, diff
    ("rename web idle", 1, "", f'{SAYS}Error when allocating new name: Conflict. The container name "/idle" is already in use by container "IDLE". '
     "You have to remove (or rename) that container to be able to reuse that name.\nError: failed to rename container named web\n"),
    ("rename web 'a b'", 1, "", f"{SAYS}Error when allocating new name: Invalid container name (/a b), {BAD_NAME}\n"
     "Error: failed to rename container named web\n"),
    ("top web --nosuch", 1, "", f"{SAYS}ps: error: unknown gnu long option\n"),
    ("top web -C nosuch", 1, "", f"{SAYS}ps: exit status 1\n"),
    ("top idle", 1, "", f"{SAYS}container IDLE is not running\n"),
    ("exec idle true", 1, "", f"{SAYS}container IDLE is not running\n"),
    ("exec web/x true", 1, "", f"{SAYS}No such container: web/x\n"),
    ("stats --no-stream --format '{{.Name}}' web web", 0, "web\n", ""),
    ("diff idle", 0, "", ""),
    ("diff ''", 1, "", "Container name cannot be empty\n"),
    # update: of what is not given nothing is compared
    ("update --cpus 0.5 swapped", 0, "swapped\n", ""),
    ("update --cpu-shares 100 swapped nosuch", 1, "swapped\n", f"{SAYS}No such container: nosuch\n"),
    # save, export, load: what is not a file is never replaced by one
    ("save -o device busybox", 1, "", "failed to save image: cannot write to a character device file\n"),
    ("save -o link busybox", 1, "", "failed to save image: cannot write to a symbolic link directly\n"),
    ("save -o . busybox", 1, "", "failed to save image: cannot write to a directory\n"),
    ("save -o nosuch/x busybox", 1, "", "failed to save image: invalid output path: stat nosuch: no such file or directory\n"),
    ("save -o file nosuch", 1, "", f"{SAYS}No such image: nosuch\n"),
    ("export -o device idle", 1, "", "failed to export container: cannot write to a character device file\n"),
    ("export -o file/x idle", 1, "", "failed to export container: invalid output path: stat file: not a directory\n"),
    ("save -o saved busybox", 0, "", ""),
    ("load --platform linux -i saved", 0, "Loaded image: busybox:latest\n", ""),
    ("load --platform bogus -i saved", 1, "", 'invalid platform: "bogus": unknown operating system or architecture: invalid argument\n'),
    # cp
    ("cp nosuch web:/", 1, "", "lstat HERE/nosuch: no such file or directory\n"),
    ("cp file web:", 1, "", "no such directory\n"),
    ("cp folder web:", 0, "", ""),
    ("exec web cat /within", 0, "x\n", ""),
    ("cp web:/nosuch .", 1, "", f"{SAYS}Could not find the file /nosuch in container web\n"),
    ("cp web:/within out", 0, "", ""),
    # info without a daemon
    ("-H unix:///nosuch info -f '{{.ClientInfo.Context}}'", 0, "default\n", ""),
    ("-H unix:///nosuch info -f '{{.Containers}}'", 1, "0\n", "Cannot connect to the Docker daemon at unix:///nosuch. "
     "Is the docker daemon running?\n"),
    ("logs nosuch", 1, "", f"{SAYS}No such container: nosuch\n"),
    # rm
    ("rm idle nosuch", 1, "idle\n", f"{SAYS}No such container: nosuch\n"),
    ("rm -f still nosuch", 0, "still\n", f"{SAYS}No such container: nosuch\n"),
)  # fmt: skip
