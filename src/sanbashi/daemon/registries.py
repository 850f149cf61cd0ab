"""What is asked of registries: pull, push, login, what an image is there, search."""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import Failed, Invalid, NotFound
from ..host.accounts import Found, login, search
from ..host.registry import Registry
from ..host.transfers import Credentials
from ..images.filters import boolean
from ..images.manifest import Descriptor, Index, Platform, checked_platform, image_of, parse_manifest, parse_platform
from ..images.model import Image
from ..images.reference import DEFAULT_DOMAIN, DOMAIN, LEGACY_DOMAIN, Reference, parse_reference, parse_stored
from .images import Images
from .pulling import Pulled, Puller
from .pushing import Pusher

Report = Callable[[dict[str, Any]], None]
MAX_FOUND = 100
DEFAULT_FOUND = 25


class Registries:
    """Registries as the API asks for them. Called on the loop's thread."""

    def __init__(self, images: Images, *, mirrors: Sequence[str] = (), insecure: Sequence[str] = (), max_downloads: int = 3) -> None:
        self.images = images
        self.registry = Registry(tuple(mirrors), tuple(insecure))
        self.puller = Puller(self.registry, images.content, images.host, threading.Semaphore(max_downloads))
        self.pusher = Pusher(self.registry, images.content)
        self.pulls: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    async def pull(
        self,
        reference: str,
        *,
        platform: str = "",
        auth: Mapping[str, str] | None = None,
        progress: Report = lambda message: None,
        all_tags: bool = False,
    ) -> Image:
        """Pull by name, tag or digest (`latest` unless given), or all tags of a name (the last image then).

        `auth` is the object of the X-Registry-Auth header; `progress` hears Docker's progress messages, on the loop's thread.
        """
        wish = parse_reference(reference)
        wanted = parse_platform(platform, self.images.host) if platform else None
        credentials = credentials_of(auth)
        if all_tags and not wish.suffix:
            stopped = threading.Event()
            tags = await self.images.work(stopped, lambda: self.registry.session(wish, credentials, stopped).tags())
            wishes = [Reference(wish.domain, wish.path, tag) for tag in tags]
            if not wishes:
                raise NotFound(f"repository {wish.familiar_name} not found: it has no tags")
        else:
            wishes = [wish.tagged()]
        for each in wishes:
            image = await self.pull_one(each, wanted, credentials, progress)
        return image

    async def pull_one(self, wish: Reference, platform: Platform | None, credentials: Credentials, progress: Report) -> Image:
        """Pull one reference; two pulls of the same one take turns, and the second finds all of it there."""
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def report(message: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(progress, message)

        async with self.pulls[wish.key]:
            async with self.images.lease() as lease:
                pulled: Pulled = await self.images.work(stopped, lambda: self.puller.pull(wish, platform, credentials, report, stopped, lease))
                names = ([] if wish.digest else [wish.key]) + [f"{wish.familiar_name}@{pulled.digest}"]
                changed = self.images.names_now(pulled.image.id).issuperset(names)
                image = await self.images.store(pulled.image, names)
        progress({"status": f"Digest: {pulled.digest}"})
        news = "Image is up to date" if changed and not pulled.is_new else "Downloaded newer image"
        progress({"status": f"Status: {news} for {wish.familiar}"})
        self.images.tell("pull", wish.familiar, wish.familiar_name, image)
        return image

    async def push(
        self,
        name: str,
        tag: str,
        *,
        auth: Mapping[str, str] | None = None,
        progress: Report = lambda message: None,
        platform: Platform | None = None,
    ) -> None:
        """Push an image under its tag, or all tags of the repository where `tag` is "". What is wrong with the name is raised at once.

        NotFound where the image is for another platform than the one given.
        """
        wish = parse_reference(name)
        repository = Reference(wish.domain, wish.path)
        if wish.digest and not tag:
            raise Invalid("cannot push a digest reference")
        credentials = credentials_of(auth)
        tags = [tag or wish.tag] if tag or wish.tag else self.tags_of(repository)
        wishes = [parse_reference(f"{repository.name}:{one}") for one in tags]
        progress({"status": f"The push refers to repository [{repository.name}]"})
        if not wishes or not self.tags_of(repository):
            raise Failed(f"An image does not exist locally with the tag: {repository.familiar_name}")
        for one in wishes:
            image = self.images.find(one.key)
            if image is None:
                raise NotFound(f"tag does not exist: {one.familiar}")
            if platform is not None:
                checked_platform(image, platform, one.familiar)
            await self.push_one(one, image, credentials, progress)

    async def push_one(self, wish: Reference, image: Image, credentials: Credentials, progress: Report) -> None:
        """Push one tag."""
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def report(message: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(progress, message)

        with self.images.content.lease() as lease:
            lease.add([image.id, image.manifest, *image.diff_ids])
            digest, size = await self.images.work(stopped, lambda: self.pusher.push(wish, image, credentials, report, stopped, lease))
        if image.id in self.images.state().images:
            await self.images.store(image, [f"{wish.familiar_name}@{digest}"])
        progress({"status": f"{wish.tag}: digest: {digest} size: {size}"})
        progress({"progressDetail": {}, "aux": {"Tag": wish.tag, "Digest": digest, "Size": size}})
        self.images.tell("push", wish.familiar, wish.familiar_name, image)

    def tags_of(self, repository: Reference) -> list[str]:
        """The tags that the store has of a repository."""
        found = (parse_stored(name) for image in self.images.state().images.values() for name in image.repo_tags)
        return sorted(r.tag for r in found if r.name == repository.name)

    async def login(self, address: str, auth: Mapping[str, str]) -> str:
        """Try credentials; the identity token that stands for them from now on, "" where there is none. Unauthorized where they are wrong."""
        credentials, domain = credentials_of(auth), domain_of(address)
        if DOMAIN.fullmatch(domain) is None:
            raise Invalid(f'invalid registry address: "{address}"')
        return await asyncio.to_thread(login, self.registry, domain, credentials)

    async def describe(self, name: str, auth: Mapping[str, str] | None) -> tuple[Descriptor, list[Platform]]:
        """What a name is in its registry: the manifest's descriptor, and the platforms that it has."""
        wish = parse_reference(name).tagged()
        stopped = threading.Event()

        def ask() -> tuple[Descriptor, list[Platform]]:
            session = self.registry.session(wish, credentials_of(auth), stopped)
            answer = session.manifest(wish.digest or wish.tag)
            document = parse_manifest(answer.data, answer.media_type)
            descriptor = Descriptor(media_type=document.media_type or answer.media_type, digest=answer.digest, size=len(answer.data))
            if isinstance(document, Index):
                return descriptor, [d.platform for d in document.manifests if d.platform and d.platform.os != "unknown"]
            image = image_of(session.small(document.config))
            return descriptor, [Platform(image.os, image.architecture, image.variant)]

        return await self.images.work(stopped, ask)

    async def search(self, term: str, limit: int | None, filters: Mapping[str, Sequence[str]], auth: Mapping[str, str] | None) -> list[Found]:
        """Search Docker Hub, or the registry whose address the term begins with."""
        for key in filters:
            if key not in ("is-automated", "is-official", "stars"):
                raise Invalid(f"invalid filter '{key}'")
        official = boolean(filters["is-official"]) if filters.get("is-official") else None
        automated = boolean(filters["is-automated"]) if filters.get("is-automated") else None
        stars = max((whole_number(text) for text in filters.get("stars", ())), default=0)
        limit = limit or DEFAULT_FOUND
        if not 1 <= limit <= MAX_FOUND:
            raise Invalid(f"limit {limit} is outside the range of [1, {MAX_FOUND}]")
        if "://" in term:
            raise Invalid("invalid repository name: repository name should not contain a scheme")
        first, slash, rest = term.partition("/")
        named = bool(slash) and ("." in first or ":" in first or first == "localhost")
        domain = first if named and first != LEGACY_DOMAIN else DEFAULT_DOMAIN
        found = await asyncio.to_thread(search, self.registry, domain, rest if named else term, limit, credentials_of(auth))
        if automated:  # Docker Hub has had none since 2024
            return []
        return [f for f in found if f.star_count >= stars and official in (None, f.is_official)][:limit]


def credentials_of(auth: Mapping[str, str] | None) -> Credentials:
    """The object of the X-Registry-Auth header as a value."""
    return msgspec.convert({k: v for k, v in (auth or {}).items() if isinstance(v, str)}, Credentials)


def domain_of(address: str) -> str:
    """The registry of a server address as clients keep it: "https://index.docker.io/v1/", "registry.example:5000"."""
    host = address.split("://")[-1].partition("/")[0]
    return DEFAULT_DOMAIN if host in ("", LEGACY_DOMAIN, DEFAULT_DOMAIN, "registry-1.docker.io", "hub.docker.com") else host


def whole_number(text: str) -> int:
    if not text.isdigit():
        raise Invalid(f"invalid filter 'stars=[{text}]'")
    return int(text)
