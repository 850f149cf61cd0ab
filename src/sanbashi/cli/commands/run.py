"""run and create."""

from sanbashi.cli import values
from sanbashi.cli.client import Daemon, escape, json_of
from sanbashi.cli.command import PROGRAM, Call, Command
from sanbashi.cli.create_request import body_of
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.flags import Given
from sanbashi.cli.imagename import parsed
from sanbashi.cli.mounts import parse_mount
from sanbashi.cli.output import STDERR, STDOUT, err, out, terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REFUSED = {
    "disable-content-trust": "image signatures are not supported: leave --disable-content-trust at true",
    "use-api-socket": "--use-api-socket is not supported: bind mount the socket with -v",
}

_WINDOWS = ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")


def fail(problem: str, verb: str, status: int = 125, *, hint: str = "") -> Failure:
    """Docker's frame around an error of run and create."""
    return Failure(f"{PROGRAM}: {problem}{chr(10) + hint if hint else ''}\n\nRun '{PROGRAM} {verb} --help' for more information", status)


def wanted(call: Call, verb: str) -> "dict[str, Any]":
    """The body of the request; Failure with status 125 for flags that contradict."""
    given = call.given
    pull = given.text("pull", "missing")
    if pull not in ("", "always", "missing", "never"):
        raise fail(f'invalid pull option: \'{pull}\': must be one of "always", "missing" or "never"', verb)
    if not given.on("disable-content-trust", True):
        raise fail(_REFUSED["disable-content-trust"], verb)
    if given.on("use-api-socket"):
        raise fail(_REFUSED["use-api-socket"], verb)
    windows = [name for name in _WINDOWS if given.changed(name)]
    if windows:
        only = "is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux"
        raise Failure("\n".join(f'"--{name}" {only}' for name in windows))
    try:
        return body_of(given)
    except ValueError as problem:
        raise fail(str(problem), verb) from None


def create_container(daemon: Daemon, given: Given, body: "dict[str, Any]") -> str:
    """Creates the container, pulling its image when it is missing; its id."""
    image = str(body["Image"])
    if not image:
        raise Failure("invalid reference format")
    name = None if len(image) == 64 else parsed(image)
    if name is None and not all(char in "0123456789abcdef" for char in image.removeprefix("sha256:")):
        from sanbashi.cli.imagename import ImageName

        name = ImageName(image)
    cidfile = given.text("cidfile")
    if cidfile:
        import posix

        try:
            posix.stat(cidfile)
        except FileNotFoundError:
            pass
        else:
            raise Failure(f"container ID file found, make sure the other container isn't running or delete {cidfile}")
    query = {"name": given.text("name"), "platform": given.text("platform")}
    body["HostConfig"]["ConsoleSize"] = list(terminal_size(STDOUT))
    if given.text("pull") == "always":
        pull(daemon, given, image)
    text = json_of(body)
    try:
        answer = daemon.request("POST", "/containers/create", query, text).json()
    except DaemonError as problem:
        if problem.code != 404 or name is None or given.text("pull", "missing") != "missing":
            raise
        if not given.on("quiet"):
            err(f"Unable to find image '{name.familiar()}' locally\n")
        pull(daemon, given, image)
        answer = daemon.request("POST", "/containers/create", query, text).json()
    warn(body, answer)
    if cidfile:
        try:
            with open(cidfile, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs more than the command
                file.write(answer["Id"])
        except OSError as problem:
            raise Failure(f"failed to create the container ID file: open {cidfile}: {(problem.strerror or '').lower()}") from None
    return str(answer["Id"])


def warn(body: "dict[str, Any]", answer: "dict[str, Any]") -> None:
    """The daemon's warnings, and ours about name servers that a container cannot reach."""
    warnings = list(answer.get("Warnings") or [])
    if body["HostConfig"]["Dns"]:
        from sanbashi.cli.addresses import is_loopback

        local = [server for server in body["HostConfig"]["Dns"] if is_loopback(server)]
        warnings += [f"Localhost DNS ({local[0]}) may fail in containers."] if local else []
    for warning in warnings:
        err(f"WARNING: {warning}\n")


def pull(daemon: Daemon, given: Given, image: str) -> None:
    """Pulls an image, showing progress on standard error."""
    from sanbashi.cli.pulling import pull_image

    pull_image(daemon, image, given.text("platform"), None if given.on("quiet") else STDERR)


def create(call: Call) -> None:
    """Creates a container and prints its id."""
    out(create_container(call.daemon, call.given, wanted(call, "create")) + "\n")


def run(call: Call) -> int:
    """Creates a container and starts it, attached unless -d is given."""
    given = call.given
    body = wanted(call, "run")
    if given.on("detach"):
        if given.many("attach"):
            raise Failure("conflicting options: cannot specify both --attach and --detach")
        body |= {"AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "StdinOnce": False}
    else:
        from sanbashi.cli.interactive import check_terminal

        check_terminal(body["AttachStdin"], body["Tty"])
    try:
        container = create_container(call.daemon, given, body)
        if not (body["AttachStdin"] or body["AttachStdout"] or body["AttachStderr"]):
            out(container + "\n")
            call.daemon.request("POST", f"/containers/{escape(container)}/start").read()
            return 0
        return attached(call, container, body)
    except Failure as problem:
        if problem.message.startswith(PROGRAM) or not problem.message:
            raise
        raise fail(problem.message, "run", status_of(problem.message), hint=problem.hint) from None


def status_of(message: str) -> int:
    """127: no such command; 126: it may not be run; 125: anything else."""
    if any(words in message for words in ("executable file not found", "no such file or directory", "system cannot find the file specified")):
        return 127
    return 126 if "permission denied" in message or "is a directory" in message else 125


def attached(call: Call, container: str, body: "dict[str, Any]") -> int:
    """Attaches, starts, and stays until the container has ended; its exit code."""
    from sanbashi.cli.interactive import Detached, Session, Signals, Waiting, killer, resizer
    from sanbashi.cli.output import is_terminal
    from sanbashi.cli.settings import setting

    daemon, given = call.daemon, call.given
    signals = Signals()
    keys = given.text("detach-keys") or setting("detachKeys")
    query = {"stream": True, "stdin": body["AttachStdin"], "stdout": body["AttachStdout"], "stderr": body["AttachStderr"], "detachKeys": keys}
    wire = daemon.hijack(f"/containers/{container}/attach", query)
    waiting = Waiting(daemon, container, "removed" if given.on("rm") else "next-exit")
    try:
        daemon.request("POST", f"/containers/{container}/start").read()
    except Failure:
        wire.close()
        if given.on("rm"):
            waiting.finish()
        raise
    resize = resizer(daemon, f"/containers/{container}") if body["Tty"] and is_terminal(STDOUT) else None
    if resize:
        resize()
    session = Session(
        wire,
        stdin=body["AttachStdin"],
        tty=body["Tty"],
        output=body["AttachStdout"] or body["AttachStderr"],
        detach_keys=keys,
        kill=killer(daemon, container) if given.on("sig-proxy", True) else None,
        resize=resize,
        signals=signals,
        waiting=waiting,
    )
    try:
        session.run()
    except Detached:
        return 0
    return waiting.finish()


_FLAGS = """
    --add-host list  Add a custom host-to-IP mapping (host:ip)
    --annotation map  Add an annotation to the container (passed through to the OCI runtime) (default map[])
-a, --attach list  Attach to STDIN, STDOUT or STDERR
    --blkio-weight uint16  Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
    --blkio-weight-device list  Block IO weight (relative device weight) (default [])
    --cap-add list  Add Linux capabilities
    --cap-drop list  Drop Linux capabilities
    --cgroup-parent string  Optional parent cgroup for the container
    --cgroupns string  Cgroup namespace to use (host|private)\\n'host':    Run the container in the Docker host's cgroup namespace\\n'private': Run the container in its own private cgroup namespace\\n'':        Use the cgroup namespace as configured by the\\n           default-cgroupns-mode option on the daemon (default)
    --cidfile string  Write the container ID to the file
    --cpu-count int  CPU count (Windows only)
    --cpu-percent int  CPU percent (Windows only)
    --cpu-period int  Limit CPU CFS (Completely Fair Scheduler) period
    --cpu-quota int  Limit CPU CFS (Completely Fair Scheduler) quota
    --cpu-rt-period int  Limit CPU real-time period in microseconds
    --cpu-rt-runtime int  Limit CPU real-time runtime in microseconds
-c, --cpu-shares int  CPU shares (relative weight)
    --cpus decimal  Number of CPUs
    --cpuset-cpus string  CPUs in which to allow execution (0-3, 0,1)
    --cpuset-mems string  MEMs in which to allow execution (0-3, 0,1)
%RUN1%    --device list  Add a host device to the container
    --device-cgroup-rule list  Add a rule to the cgroup allowed devices list
    --device-read-bps list  Limit read rate (bytes per second) from a device (default [])
    --device-read-iops list  Limit read rate (IO per second) from a device (default [])
    --device-write-bps list  Limit write rate (bytes per second) to a device (default [])
    --device-write-iops list  Limit write rate (IO per second) to a device (default [])
    --disable-content-trust  Skip image verification (default true)
    --dns list  Set custom DNS servers
~--dns-opt list  Set DNS options
    --dns-option list  Set DNS options
    --dns-search list  Set custom DNS search domains
    --domainname string  Container NIS domain name
    --entrypoint string  Overwrite the default ENTRYPOINT of the image
-e, --env list  Set environment variables
    --env-file list  Read in a file of environment variables
    --expose list  Expose a port or a range of ports
    --gpus gpu-request  GPU devices to add to the container ('all' to pass all GPUs)
    --group-add list  Add additional groups to join
    --health-cmd string  Command to run to check health
    --health-interval duration  Time between running the check (ms|s|m|h) (default 0s)
    --health-retries int  Consecutive failures needed to report unhealthy
    --health-start-interval duration  Time between running the check during the start period (ms|s|m|h) (default 0s)
    --health-start-period duration  Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)
    --health-timeout duration  Maximum time to allow one check to run (ms|s|m|h) (default 0s)
    --help  Print usage
-h, --hostname string  Container host name
    --init  Run an init inside the container that forwards signals and reaps processes
-i, --interactive  Keep STDIN open even if not attached
    --io-maxbandwidth bytes  Maximum IO bandwidth limit for the system drive (Windows only)
    --io-maxiops uint  Maximum IOps limit for the system drive (Windows only)
    --ip string  IPv4 address (e.g., 172.30.100.104)
    --ip6 string  IPv6 address (e.g., 2001:db8::33)
    --ipc string  IPC mode to use
    --isolation string  Container isolation technology
    --kernel-memory bytes  Kernel memory limit
-l, --label list  Set meta data on a container
    --label-file list  Read in a line delimited file of labels
    --link list  Add link to another container
    --link-local-ip list  Container IPv4/IPv6 link-local addresses
    --log-driver string  Logging driver for the container
    --log-opt list  Log driver options
    --mac-address string  Container MAC address (e.g., 92:d0:c6:0a:29:33)
-m, --memory bytes  Memory limit
    --memory-reservation bytes  Memory soft limit
    --memory-swap bytes  Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    --memory-swappiness int  Tune container memory swappiness (0 to 100) (default -1)
    --mount mount  Attach a filesystem mount to the container
    --name string  Assign a name to the container
~--net network  Connect a container to a network
~--net-alias list  Add network-scoped alias for the container
    --network network  Connect a container to a network
    --network-alias list  Add network-scoped alias for the container
    --no-healthcheck  Disable any container-specified HEALTHCHECK
    --oom-kill-disable  Disable OOM Killer
    --oom-score-adj int  Tune host's OOM preferences (-1000 to 1000)
    --pid string  PID namespace to use
    --pids-limit int  Tune container pids limit (set -1 for unlimited)
    --platform string  Set platform if server is multi-platform capable
    --privileged  Give extended privileges to this container
-p, --publish list  Publish a container's port(s) to the host
-P, --publish-all  Publish all exposed ports to random ports
    --pull string  %PULL%
-q, --quiet  Suppress the pull output
    --read-only  Mount the container's root filesystem as read only
    --restart string  Restart policy to apply when a container exits (default "no")
    --rm  Automatically remove the container and its associated anonymous volumes when it exits
    --runtime string  Runtime to use for this container
    --security-opt list  Security Options
    --shm-size bytes  Size of /dev/shm
%RUN2%    --stop-signal string  Signal to stop the container
    --stop-timeout int  Timeout (in seconds) to stop a container
    --storage-opt list  Storage driver options for the container
    --sysctl map  Sysctl options (default map[])
    --tmpfs list  Mount a tmpfs directory
-t, --tty  Allocate a pseudo-TTY
    --ulimit ulimit  Ulimit options (default [])
    --use-api-socket  Bind mount Docker API socket and required auth
-u, --user string  Username or UID (format: <name|uid>[:<group|gid>])
    --userns string  User namespace to use
    --uts string  UTS namespace to use
-v, --volume list  Bind mount a volume
    --volume-driver string  Optional volume driver for the container
    --volumes-from list  Mount volumes from the specified container(s)
-w, --workdir string  Working directory inside the container
"""  # noqa: E501 - a row of the table is a line
_RUN1 = """-d, --detach  Run container in background and print container ID
    --detach-keys string  Override the key sequence for detaching a container
"""
_RUN2 = "    --sig-proxy  Proxy received signals to the process (default true)\n"
_PULL_RUN = 'Pull image before running ("always", "missing", "never") (default "missing")'
_PULL_CREATE = 'Pull image before creating ("always", "|missing", "never") (default "missing")'

READERS = {
    "add-host": values.extra_host,
    "attach": values.attach,
    "blkio-weight-device": values.weight,
    "cpus": values.cpus,
    "device-cgroup-rule": values.device_rule,
    "device-read-bps": values.bps,
    "device-read-iops": values.iops,
    "device-write-bps": values.bps,
    "device-write-iops": values.iops,
    "dns": values.address,
    "dns-search": values.search_domain,
    "env": values.env,
    "gpus": values.gpus,
    "label": values.label,
    "link": values.link,
    "memory-swap": values.swap,
    "mount": parse_mount,
    "net": values.network,
    "network": values.network,
    "sysctl": values.sysctl,
    "ulimit": values.ulimit,
}

COMMANDS = {
    "run": Command(
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        run,
        flags=_FLAGS.replace("%RUN1%", _RUN1).replace("%RUN2%", _RUN2).replace("%PULL%", _PULL_RUN),
        least=1,
        interspersed=False,
        readers=READERS,
        aliases="container run, run",
    ),
    "create": Command(
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        create,
        flags=_FLAGS.replace("%RUN1%", "").replace("%RUN2%", "").replace("%PULL%", _PULL_CREATE),
        least=1,
        interspersed=False,
        readers=READERS,
        aliases="container create, create",
    ),
}
