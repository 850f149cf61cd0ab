"""The user's settings file (~/.docker/config.json, or the directory in SANBASHI_CONFIG or DOCKER_CONFIG): formats, keys, credentials."""

from sanbashi.cli.output import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_read: "list[dict[str, Any]]" = []


def settings() -> "dict[str, Any]":
    """The whole file, read once; empty where there is none."""
    if not _read:
        found: Any = {}
        try:
            with open(folder() + "/config.json", "rb") as file:  # noqa: PTH123 - pathlib costs more than the whole command
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


def folder() -> str:
    """The directory of the settings file."""
    return environment("SANBASHI_CONFIG") or environment("DOCKER_CONFIG") or environment("HOME", "/root") + "/.docker"


def registry_auth(registry: str) -> str:
    """The X-Registry-Auth header for a registry; empty where no credentials are stored."""
    name = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    auth = stored_auth(name)
    return header_text({**auth, "serveraddress": name}) if auth else ""


def stored_auth(address: str) -> dict[str, str]:
    """The credentials that are kept for an address; empty where there are none."""
    stored = settings().get("auths") or {}
    entry = stored.get(address) or stored.get(f"https://{address}") or stored.get(f"https://{address}/")
    if not isinstance(entry, dict):
        return {}
    from binascii import a2b_base64

    user, _, password = a2b_base64(str(entry.get("auth") or "")).decode("utf-8", "replace").partition(":")
    fields = {"username": user, "password": password.strip("\0"), "identitytoken": str(entry.get("identitytoken") or "")}
    return {key: value for key, value in fields.items() if value}


def all_auths() -> str:
    """The X-Registry-Config header: all credentials, by address."""
    found = {name: stored_auth(name) for name in settings().get("auths") or {}}
    return header_text({name: {**auth, "serveraddress": name} for name, auth in found.items() if auth})


def header_text(value: "Any") -> str:
    """A value as headers carry it: base64 of JSON, for addresses and file names."""
    from binascii import b2a_base64

    from sanbashi.cli.gotemplate.encode import encode

    return b2a_base64(encode(value).encode(), newline=False).decode().replace("+", "-").replace("/", "_")


def save_auth(address: str, auth: dict[str, str]) -> str:
    """Keep credentials for an address, or forget them where there are none; the file's path. It is replaced as a whole, and its owner's alone."""
    import json
    import os
    from binascii import b2a_base64

    path = folder() + "/config.json"
    document = {key: value for key, value in settings().items()}
    auths = {key: value for key, value in (document.get("auths") or {}).items() if key not in (address, f"https://{address}", f"https://{address}/")}
    if auth:
        pair = f"{auth.get('username', '')}:{auth.get('password', '')}".encode()
        auths[address] = {"auth": b2a_base64(pair, newline=False).decode()}
        if auth.get("identitytoken"):
            auths[address]["identitytoken"] = auth["identitytoken"]
    document["auths"] = auths
    os.makedirs(folder(), 0o700, exist_ok=True)  # noqa: PTH103 - as above
    real = os.path.realpath(path)
    draft = f"{real}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        json.dump(document, file, indent="\t")
    os.replace(draft, real)  # noqa: PTH105
    _read.clear()
    return path
