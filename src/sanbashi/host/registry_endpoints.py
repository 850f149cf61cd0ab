"""The ways to registries: mirrors, what is insecure, certificates, proxies, and the connections that are kept open."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import urllib.request
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import InsecureRequestWarning

from ..images.reference import DEFAULT_DOMAIN
from ..records import dataclass

HUB = "registry-1.docker.io"
TIMEOUT = urllib3.Timeout(connect=15, read=60)  # seconds; `read` between two pieces, not for the whole
CERTIFICATES = (Path("/etc/sanbashi/certs.d"), Path("/etc/docker/certs.d"))
# Who names a registry insecure has decided so; a line in the log at every request tells him nothing.
urllib3.disable_warnings(InsecureRequestWarning)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to a registry. `base` is "https://host[:port][/path]"; `careless` accepts any certificate."""

    base: str
    careless: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.base).netloc


@dataclass
class Endpoints:
    """What the daemon knows of registries. `mirrors` are URLs tried first for docker.io; `insecure` hosts, host:port or networks."""

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    certificates: tuple[Path, ...] = CERTIFICATES
    pools: dict[Endpoint, urllib3.PoolManager] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def endpoints(self, domain: str) -> tuple[Endpoint, ...]:
        """Where to ask for a registry's images, in order."""
        mirrors = self.mirrors if domain == DEFAULT_DOMAIN else ()
        return (*(e for m in mirrors for e in self.ways(m.rstrip("/"))), *self.itself(domain))

    def itself(self, domain: str) -> tuple[Endpoint, ...]:
        """The registry without its mirrors."""
        return (Endpoint(f"https://{HUB}"),) if domain == DEFAULT_DOMAIN else self.ways(f"https://{domain}")

    def ways(self, url: str) -> tuple[Endpoint, ...]:
        """An address as endpoints: where it is insecure, TLS with any certificate and then plain HTTP."""
        parts = urlsplit(url)
        if parts.scheme == "http":
            return (Endpoint(url),)
        if not self.is_insecure(parts.netloc):
            return (Endpoint(url),)
        return (Endpoint(url, careless=True), Endpoint(f"http://{parts.netloc}{parts.path}"))

    def is_insecure(self, netloc: str) -> bool:
        """Loopback and what the administrator named."""
        host = urlsplit(f"//{netloc}").hostname or ""
        if netloc in self.insecure or host in self.insecure:
            return True
        if host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        networks = (ipaddress.ip_network(n, strict=False) for n in self.insecure if "/" in n)
        return address.is_loopback or any(address in network for network in networks)

    def pool(self, endpoint: Endpoint) -> urllib3.PoolManager:
        """The connections to an endpoint, kept open between requests."""
        with self.lock:
            if endpoint not in self.pools:
                self.pools[endpoint] = self.open(endpoint)
            return self.pools[endpoint]

    def open(self, endpoint: Endpoint) -> urllib3.PoolManager:
        parts = urlsplit(endpoint.base)
        if parts.scheme == "http":
            return self.plain(parts.netloc)
        context = ssl.create_default_context()
        if endpoint.careless:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for directory in self.certificates:
            for authority in sorted((directory / endpoint.host).glob("*.crt")):
                context.load_verify_locations(authority)
            for certificate in sorted((directory / endpoint.host).glob("*.cert")):
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if proxy := proxy_for("https", parts.netloc):
            return urllib3.ProxyManager(proxy, maxsize=8, ssl_context=context, timeout=TIMEOUT)
        return urllib3.PoolManager(maxsize=8, ssl_context=context, timeout=TIMEOUT)

    def plain(self, netloc: str) -> urllib3.PoolManager:
        proxy = proxy_for("http", netloc)
        return urllib3.ProxyManager(proxy, maxsize=8, timeout=TIMEOUT) if proxy else urllib3.PoolManager(maxsize=8, timeout=TIMEOUT)


def proxy_for(scheme: str, netloc: str) -> str:
    """The proxy that the environment names for a host, "" for none."""
    return "" if urllib.request.proxy_bypass(netloc) else urllib.request.getproxies().get(scheme, "")
