"""The table of verbs: where each lives (module and key in its COMMANDS) and what it is in one line; the options before the verb."""

Verb = tuple[str, str, str]

GLOBAL = """
    --config string  Location of client config files
-D, --debug  Enable debug mode
-H, --host list  Daemon socket to connect to
-l, --log-level string  Set the logging level ("debug", "info", "warn", "error", "fatal") (default "info")
-v, --version  Print version information and quit
~-c, --context string  Name of the context
    --tls  Use TLS; implied by --tlsverify
    --tlscacert string  Trust certs signed only by this CA (default "~/.docker/ca.pem")
    --tlscert string  Path to TLS certificate file (default "~/.docker/cert.pem")
    --tlskey string  Path to TLS key file (default "~/.docker/key.pem")
    --tlsverify  Use TLS and verify the remote
"""

_CONTAINER: dict[str, Verb] = {
    "attach": ("attach", "attach", "Attach local standard input, output, and error streams to a running container"),
    "commit": ("filesystem", "commit", "Create a new image from a container's changes"),
    "cp": ("cp", "cp", "Copy files/folders between a container and the local filesystem"),
    "create": ("run", "create", "Create a new container"),
    "diff": ("filesystem", "diff", "Inspect changes to files or directories on a container's filesystem"),
    "exec": ("exec", "exec", "Execute a command in a running container"),
    "export": ("filesystem", "export", "Export a container's filesystem as a tar archive"),
    "inspect": ("inspect", "container inspect", "Display detailed information on one or more containers"),
    "kill": ("lifecycle", "kill", "Kill one or more running containers"),
    "logs": ("logs", "logs", "Fetch the logs of a container"),
    "ls": ("ps", "ps", "List containers"),
    "pause": ("lifecycle", "pause", "Pause all processes within one or more containers"),
    "port": ("look", "port", "List port mappings or a specific mapping for the container"),
    "prune": ("prune", "container prune", "Remove all stopped containers"),
    "rename": ("lifecycle", "rename", "Rename a container"),
    "restart": ("lifecycle", "restart", "Restart one or more containers"),
    "rm": ("lifecycle", "rm", "Remove one or more containers"),
    "run": ("run", "run", "Create and run a new container from an image"),
    "start": ("start", "start", "Start one or more stopped containers"),
    "stats": ("stats", "stats", "Display a live stream of container(s) resource usage statistics"),
    "stop": ("lifecycle", "stop", "Stop one or more running containers"),
    "top": ("look", "top", "Display the running processes of a container"),
    "unpause": ("lifecycle", "unpause", "Unpause all processes within one or more containers"),
    "update": ("update", "update", "Update configuration of one or more containers"),
    "wait": ("lifecycle", "wait", "Block until one or more containers stop, then print their exit codes"),
}
_IMAGE: dict[str, Verb] = {
    "build": ("build", "build", "Build an image from a Dockerfile"),
    "history": ("images", "history", "Show the history of an image"),
    "import": ("transfer", "import", "Import the contents from a tarball to create a filesystem image"),
    "inspect": ("inspect", "image inspect", "Display detailed information on one or more images"),
    "load": ("transfer", "load", "Load an image from a tar archive or STDIN"),
    "ls": ("images", "images", "List images"),
    "prune": ("prune", "image prune", "Remove unused images"),
    "pull": ("transfer", "pull", "Download an image from a registry"),
    "push": ("registry", "push", "Upload an image to a registry"),
    "rm": ("images", "rmi", "Remove one or more images"),
    "save": ("transfer", "save", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    "tag": ("images", "tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
}
_NETWORK: dict[str, Verb] = {
    "connect": ("networks", "connect", "Connect a container to a network"),
    "create": ("networks", "create", "Create a network"),
    "disconnect": ("networks", "disconnect", "Disconnect a container from a network"),
    "inspect": ("inspect", "network inspect", "Display detailed information on one or more networks"),
    "ls": ("networks", "ls", "List networks"),
    "prune": ("prune", "network prune", "Remove all unused networks"),
    "rm": ("networks", "rm", "Remove one or more networks"),
    "update": ("networks", "update", "Change a network while containers are on it"),
}
_VOLUME: dict[str, Verb] = {
    "create": ("volumes", "create", "Create a volume"),
    "inspect": ("inspect", "volume inspect", "Display detailed information on one or more volumes"),
    "ls": ("volumes", "ls", "List volumes"),
    "prune": ("prune", "volume prune", "Remove unused local volumes"),
    "rm": ("volumes", "rm", "Remove one or more volumes"),
}
_SYSTEM: dict[str, Verb] = {
    "df": ("df", "df", "Show disk usage"),
    "events": ("events", "events", "Get real time events from the server"),
    "info": ("info", "info", "Display system-wide information"),
    "prune": ("prune", "system prune", "Remove unused data"),
}
_BUILDER: dict[str, Verb] = {
    "build": _IMAGE["build"],
    "prune": ("prune", "builder prune", "Remove build cache"),
}
_COMPLETION: dict[str, Verb] = {shell: ("completion", shell, f"Generate the autocompletion script for {shell}") for shell in ("bash", "fish", "zsh")}

GROUPS: dict[str, tuple[str, dict[str, Verb]]] = {
    "builder": ("Manage builds", _BUILDER),
    "container": ("Manage containers", _CONTAINER),
    "image": ("Manage images", _IMAGE),
    "network": ("Manage networks", _NETWORK),
    "system": ("Manage Sanbashi", _SYSTEM),
    "volume": ("Manage volumes", _VOLUME),
    "completion": ("Generate the autocompletion script for the specified shell", _COMPLETION),
}
GROUP_ALIASES = {
    "container": {"list": "ls", "ps": "ls", "remove": "rm"},
    "image": {"list": "ls", "remove": "rm", "rmi": "rm"},
    "network": {"list": "ls", "remove": "rm"},
    "volume": {"list": "ls", "remove": "rm"},
}
COMMON: dict[str, Verb] = {
    "run": _CONTAINER["run"],
    "exec": _CONTAINER["exec"],
    "ps": _CONTAINER["ls"],
    "build": _IMAGE["build"],
    "pull": _IMAGE["pull"],
    "push": _IMAGE["push"],
    "images": _IMAGE["ls"],
    "login": ("registry", "login", "Authenticate to a registry"),
    "logout": ("registry", "logout", "Log out from a registry"),
    "search": ("registry", "search", "Search Docker Hub for images"),
    "version": ("version", "version", "Show the Sanbashi version information"),
    "info": _SYSTEM["info"],
}
OTHER: dict[str, Verb] = (
    {
        name: verb
        for name, verb in _CONTAINER.items()
        if name not in ("run", "exec", "ls", "inspect", "prune")
    }
    | {name: _IMAGE[name] for name in ("history", "import", "load", "save", "tag")}
    | {
        "events": _SYSTEM["events"],
        "inspect": ("inspect", "inspect", "Return low-level information on Sanbashi objects"),
        "rmi": _IMAGE["rm"],
        "why": ("why", "why", "Explain why one container does or does not reach another"),
    }
)  # fmt: skip
TOP: dict[str, Verb] = COMMON | OTHER

_SWARM = "there is no swarm: sanbashi is one machine's engine"
# What docker has and we have not: what to do instead.
LATER = {
    "buildx": "sanbashi build builds, without BuildKit",
    "checkpoint": "sanbashi pause and unpause hold a container in memory; nothing writes it to disk",
    "compose": "run docker-compose or docker compose with DOCKER_HOST set to sanbashi's socket",
    "config": _SWARM,
    "context": "name the daemon with -H or SANBASHI_HOST",
    "manifest": "sanbashi image inspect shows an image's platform; lists of manifests are pulled, not made",
    "node": _SWARM,
    "plugin": "drivers of networks and volumes are part of sanbashid",
    "secret": _SWARM,
    "service": _SWARM,
    "stack": _SWARM,
    "swarm": _SWARM,
    "trust": "name an image by its digest, name@sha256:..., to be sure of what it is",
}
