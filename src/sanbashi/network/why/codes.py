"""What a stage can find: verdicts, and the closed table of codes with what each means. docs/why.md has the same table."""

from __future__ import annotations

from enum import Enum, StrEnum


class Verdict(StrEnum):
    """Of one stage. `unknown`: it rests on something that is not understood."""

    OK = "ok"
    WARN = "warn"
    STOP = "stop"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """Of the whole answer."""

    REACHABLE = "reachable"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Code(Enum):
    """Why a stage is not plainly ok; the name is the code, the value what it means."""

    CONTAINER_NOT_RUNNING = "a container that does not run has no network"
    CONTAINER_PAUSED = "the processes of a paused container neither ask nor answer"
    NO_NETWORK = "the container has a loopback and nothing else, or no address of this family"
    DNS_NXDOMAIN = "nobody knows the name"
    DNS_NAME_NOT_ON_SHARED_NETWORK = "the name is known only on networks that the asking container is not on"
    DNS_NO_NAMES_HERE = "on the default network, and in the host's, containers have no names for each other"
    DNS_OTHER_ADDRESS = "the name leads to an address that the container of this name does not have: stale, or somebody else's"
    DNS_TIMEOUT = "no name server answered in time"
    DNS_FAILED = "a name server answered that it cannot or will not tell"
    NO_ROUTE = "the kernel has no route to the address"
    OTHER_WAY = "the kernel sends the packets by another link than the model has it"
    RPF_DROP = "the host drops the packets because it would answer them by another link (rp_filter)"
    LINK_GONE = "a link, or one end of it, is missing or is not where it should be"
    LINK_DOWN = "a link is down"
    ADDRESS_GONE = "an address that the model has is not on its link"
    MTU_MISMATCH = "two links of one way let packets of different sizes pass"
    NETWORK_ISOLATED = "packets from one network do not go to containers on another"
    INTERNAL_NETWORK = "nothing leaves an internal network, or comes in"
    ISOLATED_GATEWAY_MODE = "the host has no address on the network"
    ICC_DISABLED = "containers on this network may not talk to each other"
    MACVLAN_HOST = "a host and the containers on its own link (macvlan, ipvlan) do not see each other"
    PRIVATE_MODE = "containers on this link are kept from each other by the mode of their network"
    PORT_NOT_PUBLISHED = "the port is not published"
    PUBLISHED_ON_LOOPBACK_ONLY = "the port is published for the host itself alone"
    PUBLISHED_ON_OTHER_HOST_IP = "the port is published on another address of the host"
    IP_FORWARD_OFF = "the host does not forward what comes in by this link"
    NO_MASQUERADE = "what leaves bears the container's own address, which the outside must know a way back to"
    HOST_FIREWALL_DROP = "a chain of somebody else's drops the packets"
    HOST_INPUT_POLICY = "published ports pass the host's own input policy, which drops them"
    CONTAINER_FIREWALL_DROP = "rules inside a container drop the packets"
    UNKNOWN_FOREIGN_RULES = "rules of somebody else's may drop the packets, and cannot be understood from here"
    RULES_DRIFTED = "our tables in the kernel are not what they should be"
    SETTINGS_DRIFTED = "a setting, a route or a neighbour of ours is not what it should be"
    CONNTRACK_FULL = "the host's table of connections is full, so that new ones are dropped"
    NOT_LISTENING = "nothing listens on the port"
    LISTENING_ON_LOOPBACK_ONLY = "what listens there takes only what comes from inside its own container"
    LISTENING_ON_OTHER_ADDRESS = "what listens there does so on another address"
    NO_REPLY_ROUTE = "answers find no way back"
    BEYOND_THIS_HOST = "a real packet left this host, and nobody outside answered it"
    NOT_EVALUATED = "this part of the way cannot be seen from here"
    PROBE_DISAGREES = "a real packet fared otherwise than model and kernel say"
