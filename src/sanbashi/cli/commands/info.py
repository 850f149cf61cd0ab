"""info."""

from sanbashi.cli.command import FORMAT, Call, Command
from sanbashi.cli.commands.version import client_version
from sanbashi.cli.failure import Failure, join_failures
from sanbashi.cli.output import err, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def info(call: Call) -> None:
    """What the daemon says of itself and its host."""
    form = call.given.text("format")
    client = {"Debug": False, **client_version(call.daemon.version), "Plugins": [], "Warnings": None}
    if form:
        by_template(form, call, client)
        return
    lines = ["Client: Sanbashi", f" Version:    {client['Version']}", f" Context:    {client['Context']}", " Debug Mode: false", "", "Server:"]
    try:
        found = call.daemon.get("/info")
    except Failure:
        out("\n".join(lines) + "\n")
        raise
    out("\n".join(lines + server_lines(found)) + "\n\n")
    for warning in found.get("Warnings") or []:
        err(f"{warning}\n")


def by_template(form: str, call: Call, client: "dict[str, Any]") -> None:
    """The answer by template; the daemon is not asked for what we know ourselves, and where it is away the rest is empty."""
    from sanbashi.cli.gotemplate.template import Template, TemplateError
    from sanbashi.cli.shapes import typed

    try:
        template = Template("{{json .}}" if form == "json" else form)
    except TemplateError as problem:
        raise Failure(f"template parsing error: {problem}", 64) from None
    if any(after[:1].isalpha() for after in form.split(".")[1:]):  # `{{json .}}` is for everything
        try:
            out(template.run(typed("system.sparseInfo", {"ClientInfo": client})) + "\n")
            return
        except TemplateError:
            pass  # it asks for more
    found: dict[str, Any] = {}
    failures: list[Failure] = []
    try:
        found = call.daemon.get("/info")
    except Failure as problem:
        failures.append(problem)
    try:
        out(template.run(typed("system.dockerInfo", found | {"ClientInfo": client})) + "\n")
    except TemplateError as problem:
        out("\n")
        failures.append(Failure(str(problem)))
    join_failures(failures)


def yes(value: object) -> str:
    """true or false."""
    return "true" if value else "false"


# label, field; shown when not empty
_TEXTS = (
    (" Logging Driver", "LoggingDriver"),
    (" Cgroup Driver", "CgroupDriver"),
    (" Cgroup Version", "CgroupVersion"),
)
_HOST = (
    (" Kernel Version", "KernelVersion"),
    (" Operating System", "OperatingSystem"),
    (" OSType", "OSType"),
    (" Architecture", "Architecture"),
)


def texts(found: "dict[str, Any]", table: tuple[tuple[str, str], ...]) -> list[str]:
    """The lines of a table of fields."""
    return [f"{label}: {found[field]}" for label, field in table if found.get(field)]


def server_lines(found: "dict[str, Any]") -> list[str]:
    """The server's part."""
    from sanbashi.cli.units import bytes_size

    plugins = found.get("Plugins") or {}
    lines = [
        f" Containers: {found.get('Containers', 0)}",
        f"  Running: {found.get('ContainersRunning', 0)}",
        f"  Paused: {found.get('ContainersPaused', 0)}",
        f"  Stopped: {found.get('ContainersStopped', 0)}",
        f" Images: {found.get('Images', 0)}",
        *texts(found, ((" Server Version", "ServerVersion"), (" Storage Driver", "Driver"))),
        *(f"  {pair[0]}: {pair[1]}" for pair in found.get("DriverStatus") or []),
        *texts(found, _TEXTS),
        " Plugins:",
        *(f"  {kind}: {' '.join(plugins.get(kind) or [])}" for kind in ("Volume", "Network")),
        *([f"  Authorization: {' '.join(plugins['Authorization'])}"] if plugins.get("Authorization") else []),
        f"  Log: {' '.join(plugins.get('Log') or [])}",
        *nested(" CDI spec directories:", found.get("CDISpecDirs")),
        f" Swarm: {(found.get('Swarm') or {}).get('LocalNodeState', '')}",
    ]
    if found.get("Runtimes"):
        lines += [f" Runtimes: {' '.join(found['Runtimes'])}", f" Default Runtime: {found.get('DefaultRuntime', '')}"]
    if found.get("OSType") == "linux":
        commits = (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit"))
        lines.append(f" Init Binary: {found.get('InitBinary', '')}")
        lines += [f" {name} version: {(found.get(field) or {}).get('ID', '')}" for name, field in commits]
        lines += security_lines(found.get("SecurityOptions") or [])
    firewall = found.get("FirewallBackend") or {}
    lines += [
        *texts(found, _HOST),
        f" CPUs: {found.get('NCPU', 0)}",
        f" Total Memory: {bytes_size(found.get('MemTotal') or 0)}",
        *texts(found, ((" Name", "Name"), (" ID", "ID"))),
        f" Docker Root Dir: {found.get('DockerRootDir', '')}",
        f" Debug Mode: {yes(found.get('Debug'))}",
        *texts(found, ((" HTTP Proxy", "HttpProxy"), (" HTTPS Proxy", "HttpsProxy"), (" No Proxy", "NoProxy"))),
        *nested(" Labels:", found.get("Labels")),
        f" Experimental: {yes(found.get('ExperimentalBuild'))}",
        *registry_lines(found.get("RegistryConfig") or {}),
        f" Live Restore Enabled: {yes(found.get('LiveRestoreEnabled'))}",
        *texts(found, ((" Product License", "ProductLicense"),)),
        *nested(" Default Address Pools:", [f" Base: {pool['Base']}, Size: {pool['Size']}" for pool in found.get("DefaultAddressPools") or []]),
        *([f" Firewall Backend: {firewall['Driver']}"] if firewall.get("Driver") else []),
        *(f"  {pair[0]}: {pair[1]}" for pair in firewall.get("Info") or []),
    ]
    return lines


def nested(heading: str, rows: "list[str] | None") -> list[str]:
    """A heading and its rows; nothing without rows."""
    return [heading, *(f"  {row}" for row in rows)] if rows else []


def security_lines(options: list[str]) -> list[str]:
    """name=seccomp,profile=builtin."""
    lines: list[str] = []
    for option in options:
        fields = dict((key, value) for key, _, value in (part.partition("=") for part in option.split(",")))
        lines.append(f"  {fields.get('name', option)}")
        if "profile" in fields:
            lines.append(f"   Profile: {fields['profile']}")
    return [" Security Options:", *lines] if lines else []


def registry_lines(config: "dict[str, Any]") -> list[str]:
    """Insecure registries and mirrors."""
    named = [each["Name"] for each in (config.get("IndexConfigs") or {}).values() if not each.get("Secure")]
    lines = nested(" Insecure Registries:", named + [str(each) for each in config.get("InsecureRegistryCIDRs") or []])
    return lines + nested(" Registry Mirrors:", config.get("Mirrors"))


COMMANDS = {
    "info": Command("[OPTIONS]", info, flags=f"-f, --format string  {FORMAT}", most=0, aliases="system info, info"),
}
