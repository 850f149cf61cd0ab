"""version."""

import posix

from sanbashi.cli.client import API
from sanbashi.cli.command import FORMAT, Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import out
from sanbashi.cli.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEMPLATE = """{{with .Client -}}
Client:{{if ne .Platform nil}}{{if ne .Platform.Name ""}} {{.Platform.Name}}{{end}}{{end}}
 Version:	{{.Version}}
 API version:	{{.APIVersion}}{{if ne .APIVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Context:	{{.Context}}
{{- end}}
{{- if ne .Server nil}}{{with .Server}}

Server:{{if ne .Platform.Name ""}} {{.Platform.Name}}{{end}}
 {{- range $component := .Components}}
 {{$component.Name}}:
  {{- if eq $component.Name "Engine" }}
  Version:	{{.Version}}
  API version:	{{index .Details "ApiVersion"}} (minimum version {{index .Details "MinAPIVersion"}})
  Go version:	{{index .Details "GoVersion"}}
  Git commit:	{{index .Details "GitCommit"}}
  Built:	{{index .Details "BuildTime"}}
  OS/Arch:	{{index .Details "Os"}}/{{index .Details "Arch"}}
  Experimental:	{{index .Details "Experimental"}}
  {{- else }}
  Version:	{{$component.Version}}
  {{- range $key, $value := .Details}}
  {{$key}}:	{{$value}}
   {{- end}}
  {{- end}}
 {{- end}}
 {{- end}}{{- end}}"""
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def client_version(api: str) -> "dict[str, Any]":
    """What we are."""
    machine = posix.uname().machine
    return {
        "Platform": {"Name": "Sanbashi"},
        "Version": VERSION,
        "ApiVersion": api,
        "DefaultAPIVersion": API,
        "Os": "linux",
        "Arch": _MACHINES.get(machine, machine),
        "Context": "default",
    }


def version(call: Call) -> None:
    """The versions of client and server; without a server the client's, then why."""
    from sanbashi.cli.gotemplate.template import Template, TemplateError
    from sanbashi.cli.shapes import typed
    from sanbashi.cli.table import align

    form = call.given.text("format")
    try:
        template = Template({"": TEMPLATE, "json": "{{json .}}"}.get(form, form), name="version")
    except TemplateError as problem:
        raise Failure(f"template parsing error: {problem}", 64) from None
    missing: Failure | None = None
    server: dict[str, Any] | None = None
    try:
        server = with_engine(call.daemon.get("/version"))
    except Failure as problem:
        missing = problem
    try:
        text = template.run(typed("system.versionInfo", {"Client": client_version(call.daemon.version), "Server": server}))
    except TemplateError as problem:
        out("\n")
        raise missing or Failure(str(problem)) from None
    out(align(text, least=20, padding=1) + "\n")
    if missing:
        raise missing


def with_engine(server: "dict[str, Any]") -> "dict[str, Any]":
    """The server's answer with a component Engine, and dates as people read them."""
    components = server.get("Components") or []
    if not any(each["Name"] == "Engine" for each in components):
        names = ("ApiVersion", "MinAPIVersion", "GitCommit", "GoVersion", "Os", "Arch", "BuildTime")
        details = {name: str(server.get(name) or "") for name in names} | {"Experimental": str(bool(server.get("Experimental"))).lower()}
        components.append({"Name": "Engine", "Version": server["Version"], "Details": details})
    for each in components:
        built = (each.get("Details") or {}).get("BuildTime", "")
        if each["Name"] == "Engine" and built:
            each["Details"]["BuildTime"] = reformat(built)
    return server | {"Components": components}


def reformat(date: str) -> str:
    """RFC 3339 as `Fri May 30 12:07:14 2025`; anything else as it is."""
    import time

    from sanbashi.cli.times import parse_rfc3339

    try:
        seconds, _, offset = parse_rfc3339(date)
    except (ValueError, IndexError):
        return date
    return time.asctime(time.gmtime(seconds + offset))


COMMANDS = {"version": Command("[OPTIONS]", version, flags=f"-f, --format string  {FORMAT}", most=0)}
