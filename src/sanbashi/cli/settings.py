"""The user's settings file (~/.docker/config.json, or the directory in SANBASHI_CONFIG or DOCKER_CONFIG): formats, keys, credentials."""

from sanbashi.cli.output import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_read: "list[dict[str, Any]]" = []


def settings() -> "dict[str, Any]":
    """The whole file, read once; empty where there is none."""
    if not _read:
        folder = environment("SANBASHI_CONFIG") or environment("DOCKER_CONFIG") or environment("HOME", "/root") + "/.docker"
        found: Any = {}
        try:
            with open(folder + "/config.json", "rb") as file:  # noqa: PTH123 - pathlib costs more than the whole command
                data = file.read()
            from sanbashi.cli.json_text import decode

            found = decode(data.decode("utf-8", "surrogateescape"))
        except OSError:
            pass  # no settings: the defaults hold
        _read.append(found if isinstance(found, dict) else {})
    return _read[0]


def setting(name: str) -> str:
    """One text of the file, empty where it is not set."""
    return str(settings().get(name) or "")


def registry_auth(registry: str) -> str:
    """The X-Registry-Auth header for a registry; empty where no credentials are stored."""
    stored = settings().get("auths") or {}
    name = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    entry = stored.get(name) or stored.get(f"https://{name}") or stored.get(f"https://{name}/")
    if not isinstance(entry, dict):
        return ""
    from binascii import a2b_base64, b2a_base64

    from sanbashi.cli.gotemplate.encode import encode

    user, _, password = a2b_base64(str(entry.get("auth") or "")).decode("utf-8", "replace").partition(":")
    fields = {"username": user, "password": password, "identitytoken": str(entry.get("identitytoken") or ""), "serveraddress": name}
    text = encode({key: value for key, value in fields.items() if value})
    return b2a_base64(text.encode(), newline=False).decode().replace("+", "-").replace("/", "_")
