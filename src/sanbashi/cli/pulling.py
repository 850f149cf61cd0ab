"""Pulling an image through the daemon."""

from sanbashi.cli.client import Daemon
from sanbashi.cli.imagename import ImageName
from sanbashi.cli.progress import messages, show_all
from sanbashi.cli.settings import registry_auth


def pull_image(daemon: Daemon, text: str, platform: str, fd: int | None, *, all_tags: bool = False) -> None:
    """Pulls; progress goes to the descriptor, nowhere when it is None. Failure where the stream tells of an error."""
    name = ImageName(text)
    query = {"fromImage": f"{name.registry}/{name.path}", "platform": platform}
    if not all_tags:
        query["tag"] = name.digest or name.tag or "latest"
    auth = registry_auth(name.registry)
    response = daemon.request("POST", "/images/create", query, headers={"X-Registry-Auth": auth} if auth else None)
    if fd is not None:
        show_all(response.parts(), fd)
        return
    from sanbashi.cli.failure import Failure

    for message in messages(response.parts()):
        if message.get("errorDetail"):
            raise Failure(str(message["errorDetail"].get("message", "")))
