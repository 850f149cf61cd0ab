"""`commit`: the configuration of the image that a container becomes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict, fields, replace

from ..images.model import ImageConfig
from .model import Config, HealthConfig
from .request import merge

SAME = tuple(f.name for f in fields(ImageConfig) if f.name not in ("healthcheck", "labels", "args_escaped"))


def image_config(config: Config) -> ImageConfig:
    """What of a container's configuration an image can carry."""
    return ImageConfig(
        **{name: getattr(config, name) for name in SAME},
        labels=dict(config.labels) or None,
        healthcheck=health(config.healthcheck),
    )


def health(check: HealthConfig | None) -> dict[str, Any] | None:
    """A health check with its JSON names; what is 0 is left out."""
    if check is None:
        return None
    names = {f.name: f.encode_name for f in fields(HealthConfig)}
    return {names[name]: list(value) if isinstance(value, tuple) else value for name, value in asdict(check).items() if value}


def committed_config(config: Config, asked: ImageConfig) -> ImageConfig:
    """The container's configuration with what the user asked for over it, by the rules of `create`."""
    user = Config(
        **{name: getattr(asked, name) for name in SAME},
        labels=dict(asked.labels or {}),
        healthcheck=None,
    )
    merged = image_config(merge(user, image_config(config)))
    return replace(merged, healthcheck=asked.healthcheck or merged.healthcheck)
