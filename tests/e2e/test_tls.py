"""The API over TCP with mutual TLS: the docker CLI, ours and the SDK; whoever shows no certificate is turned away."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Engine, Machine, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PORT = 2376
PROGRAMS = ["docker", sanbashi_cli()]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificate(folder: Path, name: str, authority: str, usage: str) -> None:
    """NAME-cert.pem and NAME-key.pem, signed by the authority, for the machine's address and loopback."""
    (folder / f"{name}.ext").write_text(f"subjectAltName=IP:198.51.100.2,IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={usage}\n")
    openssl(folder, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}-key.pem", "-CAcreateserial"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}-cert.pem", "-days", "2", "-extfile", f"{name}.ext")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "other"):
        subject = ["-subj", f"/CN={authority}", "-days", "2"]
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{authority}-key.pem", "-out", f"{authority}.pem", *subject)
    certificate(folder, "server", "ca", "serverAuth")
    certificate(folder, "client", "ca", "clientAuth")
    certificate(folder, "stranger", "other", "clientAuth")
    return folder


def given(folder: Path, who: str, *, verify: str = "--tlsverify") -> list[str]:
    """A client's flags."""
    return [verify, f"--tlscacert={folder}/ca.pem", f"--tlscert={folder}/{who}-cert.pem", f"--tlskey={folder}/{who}-key.pem"]


@contextlib.contextmanager
def served(where: Machine, folder: Path, images: str) -> Iterator[Engine]:
    """An engine that listens on the machine's own address too."""
    options = [f"--registry-mirror={images}", f"--host=tcp://198.51.100.2:{PORT}", *given(folder, "server")]
    engine = Engine(where, name="tls", options=options)
    try:
        yield engine.start()
        engine.clear()
    finally:
        engine.end()


@pytest.fixture(scope="module")
def engine(where: Machine, images: str, certificates: Path) -> Iterator[Engine]:
    with served(where, certificates, images) as made:
        made.pull("busybox:latest")
        yield made


def call(engine: Engine, program: str, flags: list[str], *words: str, **more: Any) -> Any:
    return engine.machine.run([program, "-H", f"tcp://198.51.100.2:{PORT}", *flags, *words], **more)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_day_over_tls(engine: Engine, certificates: Path, program: str) -> None:
    flags = given(certificates, "client")
    text = "".join(f"line {n}\n" for n in range(20_000))
    assert call(engine, program, flags, "run", "--rm", "-i", "busybox", "cat", given=text).stdout == text
    both = call(engine, program, flags, "run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (both.exit, both.stdout, both.stderr) == (7, "out\n", "err\n")
    call(engine, program, flags, "run", "-d", "--name", "kept", "busybox", "sh", "-c", "seq 1 200000; sleep 100")
    try:
        assert call(engine, program, flags, "exec", "-i", "kept", "wc", "-c", given=text).stdout.strip() == str(len(text))
        assert call(engine, program, flags, "ps", "--format", "{{.Names}}").stdout == "kept\n"
        assert call(engine, program, flags, "logs", "--tail", "1", "kept").stdout == "200000\n"
    finally:
        call(engine, program, flags, "rm", "-f", "kept")


@pytest.mark.parametrize("program", PROGRAMS)
def test_strangers_are_turned_away(engine: Engine, certificates: Path, program: str) -> None:
    for flags in (given(certificates, "stranger"), [], ["--tlsverify", *given(certificates, "client")[2:], f"--tlscacert={certificates}/other.pem"]):
        done = call(engine, program, flags, "ps", check=False)
        assert done.exit != 0 and "CONTAINER ID" not in done.stdout
    plain = engine.machine.run(f"curl -s --http1.0 -w '%{{http_code}}' http://198.51.100.2:{PORT}/version", check=False).stdout
    assert plain == "Client sent an HTTP request to an HTTPS server.\n400"
    assert "sanbashi" not in engine.machine.run(f"curl -sk https://198.51.100.2:{PORT}/version", check=False).stdout.lower()


def test_a_client_that_says_nothing_holds_up_nobody(engine: Engine, certificates: Path) -> None:
    silent = engine.machine.popen(["bash", "-c", f"exec 3<>/dev/tcp/198.51.100.2/{PORT}; read -t 20 x <&3"], stdin=subprocess.DEVNULL)
    try:
        assert call(engine, "docker", given(certificates, "client"), "version", "--format", "{{.Server.Os}}").stdout == "linux\n"
    finally:
        silent.kill()
        silent.wait()


def test_tcp_needs_certificates_or_loopback(where: Machine, certificates: Path) -> None:
    unverified = given(certificates, "server", verify="--tls")
    for options in (["--host=tcp://198.51.100.2:2400"], ["--host=tcp://0.0.0.0:2400"], ["--host=tcp://0.0.0.0:2400", *unverified]):
        with pytest.raises(RuntimeError, match="without --tlsverify only loopback addresses are served"):
            Engine(where, name="open", options=options).start()
    with pytest.raises(RuntimeError, match="could not load X509 key pair"):
        Engine(where, name="open", options=["--host=tcp://0.0.0.0:2400", "--tlsverify", "--tlscert=/nosuch", "--tlskey=/nosuch"]).start()
