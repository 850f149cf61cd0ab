"""`-p` in all its forms, and --expose: to exposed ports and bindings; ValueError with docker's words."""

from sanbashi.cli.addresses import packed

Bindings = dict[str, list[dict[str, str]]]


def parse_published(specs: list[str]) -> tuple[dict[str, dict[str, str]], Bindings]:
    """Exposed ports and bindings of all -p, in the order given."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: Bindings = {}
    for spec in map(standard_form, specs):
        for port, binding in parse_spec(spec):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    return exposed, bindings


def standard_form(spec: str) -> str:
    """published=8080,target=80,protocol=tcp to 8080:80/tcp; anything else as it is."""
    if "=" not in spec:
        return spec
    fields = {"protocol": "tcp"}
    for field in spec.split(","):
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise ValueError(f"invalid publish opts format (should be name=value but got '{field}')")
        fields[key] = value
    return f"{fields.get('published', '')}:{fields.get('target', '')}/{fields['protocol']}"


def parse_spec(spec: str) -> list[tuple[str, dict[str, str]]]:
    """One [address:][host port or range:]container port or range[/protocol]."""
    parts = spec.split(":")
    target = parts[-1]
    host = parts[-2] if len(parts) > 1 else ""
    address = ":".join(parts[:-2])
    protocol, target = split_protocol(target)
    if address.startswith("["):
        if not address.endswith("]"):
            raise ValueError(f"invalid IP address {address}: address {address}:: missing ']' in address")
        address = address[1:-1]
    if address and packed(address) is None:
        raise ValueError(f"invalid IP address: {address}")
    if not target:
        raise ValueError(f"no port specified: {spec}<empty>")
    try:
        start, end = parse_range(target)
    except ValueError:
        raise ValueError(f"invalid containerPort: {target}") from None
    host_start = host_end = 0
    if host:
        try:
            host_start, host_end = parse_range(host)
        except ValueError:
            raise ValueError(f"invalid hostPort: {host}") from None
    if host and end - start != host_end - host_start and end != start:
        raise ValueError(f"invalid ranges specified for container and host Ports: {target} and {host}")
    if protocol.lower() not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    mappings: list[tuple[str, dict[str, str]]] = []
    for offset in range(end - start + 1):
        published = str(host_start + offset) if host else ""
        if start == end and host_start != host_end:
            published = f"{host_start}-{host_end}"
        mappings.append((f"{start + offset}/{protocol.lower()}", {"HostIp": address, "HostPort": published}))
    return mappings


def split_protocol(text: str) -> tuple[str, str]:
    """(protocol, port or range); both empty for an empty port."""
    parts = text.split("/")
    if not parts[0]:
        return "", ""
    return (parts[1] if len(parts) > 1 and parts[1] else "tcp"), parts[0]


def parse_range(text: str) -> tuple[int, int]:
    """`80` or `80-90`."""
    if not text:
        raise ValueError("empty string specified for ports")
    parts = text.split("-")
    start = parse_port(parts[0])
    end = parse_port(parts[1]) if len(parts) > 1 else start
    if end < start:
        raise ValueError(f"invalid range specified for port: {text}")
    return start, end


def parse_port(text: str) -> int:
    """A number below 65536; ValueError with Go's words."""
    from sanbashi.cli.flags import read_int
    from sanbashi.cli.gotemplate.text import quote

    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    return read_int(text.lstrip("0") or "0", bits=16, signed=False)


def parse_exposed(specs: list[str]) -> list[str]:
    """--expose: ports as the API names them."""
    ports: list[str] = []
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        protocol, target = split_protocol(spec)
        try:
            start, end = parse_range(target)
        except ValueError as problem:
            raise ValueError(f"invalid range format for --expose: {spec}, error: {problem}") from None
        ports += [f"{port}/{protocol}" for port in range(start, end + 1)]
    return ports
