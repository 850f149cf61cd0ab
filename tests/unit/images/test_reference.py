"""Names of images, as Docker reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.errors import Invalid
from sanbashi.images.reference import COMPONENT, TAG, image_id, matches, missing, parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full", "familiar", "key"),
    [
        ("ubuntu", "docker.io/library/ubuntu", "ubuntu", "ubuntu:latest"),
        ("httpd:2.4", "docker.io/library/httpd:2.4", "httpd:2.4", "httpd:2.4"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu", "ubuntu:latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu", "ubuntu", "ubuntu:latest"),
        ("team/web", "docker.io/team/web", "team/web", "team/web:latest"),
        ("localhost/web", "localhost/web", "localhost/web", "localhost/web:latest"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a:latest"),
        ("Registry/web", "Registry/web", "Registry/web", "Registry/web:latest"),
        (f"ubuntu@{DIGEST}", f"docker.io/library/ubuntu@{DIGEST}", f"ubuntu@{DIGEST}", f"ubuntu@{DIGEST}"),
        (f"ubuntu:1@{DIGEST}", f"docker.io/library/ubuntu:1@{DIGEST}", f"ubuntu:1@{DIGEST}", f"ubuntu@{DIGEST}"),
        ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f", "a__b/c-d.e_f", "a__b/c-d.e_f:latest"),
    ],
)
def test_parsed(text: str, full: str, familiar: str, key: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar, reference.key) == (full, familiar, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("ubuntu:", "invalid reference format"),
        ("ubuntu@", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("ubuntu:" + "x" * 129, "invalid reference format"),
        ("ubuntu@sha256:abc", "invalid reference format"),
        (f"ubuntu@sha256:{'a' * 63}", "invalid checksum digest length"),
        (f"ubuntu@md5:{'a' * 32}", "unsupported digest algorithm"),
        ("Ubuntu", "invalid reference format: repository name (library/Ubuntu) must be lowercase"),
        ("team/Web", "invalid reference format: repository name (team/Web) must be lowercase"),
        ("ab" * 32, f"invalid repository name ({'ab' * 32}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        ("ubuntu\n", "invalid reference format"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_reference(text)
    assert caught.value.message == message


@given(st.from_regex(COMPONENT, fullmatch=True), st.from_regex(TAG.pattern, fullmatch=True))
def test_what_is_shown_reads_back_the_same(name: str, tag: str) -> None:
    if image_id(name) or len(name) > 200:
        return
    reference = parse_reference(f"{name}:{tag}")
    assert parse_reference(reference.familiar) == reference == parse_reference(str(reference))


def test_missing_is_called_by_its_id_or_its_name_with_the_tag() -> None:
    assert missing("ubuntu") == "ubuntu:latest"
    assert missing(DIGEST) == missing(DIGEST.removeprefix("sha256:")) == DIGEST


@pytest.mark.parametrize(
    ("pattern", "name", "taken"),
    [
        ("httpd", "httpd:2.4", True),
        ("http*", "httpd:2.4", True),
        ("*:2.?", "httpd:2.4", True),
        ("*", "team/web:1", False),
        ("*/*", "team/web:1", True),
        ("[h-j]ttpd:*", "httpd:2.4", True),
        ("httpd:3*", "httpd:2.4", False),
    ],
)
def test_patterns(pattern: str, name: str, taken: bool) -> None:
    assert matches(pattern, parse_reference(name)) is taken
