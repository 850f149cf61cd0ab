"""Measured side by side: ours, Debian's docker.io and podman in one run, alternating, each in namespaces of its own."""
