"""The API's types as docker's client declares them: templates see these fields in this order, with zero values for what is absent.

A shape is a text of fields: `GoName=JsonName?:type`. Without `=` both names are one; `?` leaves the field out of JSON when it is empty;
types are s (string, the default), b, i, f, t (time), d (duration), e (an empty struct), any, the name of a shape, *T, []T, {}T (a map by
string) and <>T (a map by nat.Port).
"""

from sanbashi.cli.gotemplate.values import Duration, Instant, Map, Nil, Slice, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHAPES = {
    "container.InspectResponse": """ID=Id Created Path Args:[]s State:*container.State Image ResolvConfPath HostnamePath HostsPath LogPath Name
        RestartCount:i Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs:[]s HostConfig:*container.HostConfig
        GraphDriver:storage.DriverData SizeRw?:*i SizeRootFs?:*i Mounts:[]container.MountPoint Config:*container.Config
        NetworkSettings:*container.NetworkSettings ImageManifestDescriptor?:any""",
    "container.State": """Status Running:b Paused:b Restarting:b OOMKilled:b Dead:b Pid:i ExitCode:i Error StartedAt FinishedAt
        Health?:*container.Health""",
    "container.Health": "Status FailingStreak:i Log:[]container.HealthcheckResult",
    "container.HealthcheckResult": "Start:t End:t ExitCode:i Output",
    "storage.DriverData": "Data:{}s Name",
    "container.MountPoint": "Type? Name? Source Destination Driver? Mode RW:b Propagation",
    "container.Config": """Hostname Domainname User AttachStdin:b AttachStdout:b AttachStderr:b ExposedPorts?:<>e Tty:b OpenStdin:b
        StdinOnce:b Env:[]s Cmd:[]s Healthcheck?:*HealthcheckConfig ArgsEscaped?:b Image Volumes:{}e WorkingDir Entrypoint:[]s
        NetworkDisabled?:b MacAddress? OnBuild:[]s Labels:{}s StopSignal? StopTimeout?:*i Shell?:[]s""",
    "HealthcheckConfig": "Test?:[]s Interval?:d Timeout?:d StartPeriod?:d StartInterval?:d Retries?:i",
    "container.HostConfig": """Binds:[]s ContainerIDFile LogConfig:container.LogConfig NetworkMode PortBindings:<>[]nat.PortBinding
        RestartPolicy:container.RestartPolicy AutoRemove:b VolumeDriver VolumesFrom:[]s ConsoleSize:[2]i Annotations?:{}s CapAdd:[]s CapDrop:[]s
        CgroupnsMode DNS=Dns:[]s DNSOptions=DnsOptions:[]s DNSSearch=DnsSearch:[]s ExtraHosts:[]s GroupAdd:[]s IpcMode Cgroup Links:[]s
        OomScoreAdj:i PidMode Privileged:b PublishAllPorts:b ReadonlyRootfs:b SecurityOpt:[]s StorageOpt?:{}s Tmpfs?:{}s UTSMode UsernsMode
        ShmSize:i Sysctls?:{}s Runtime? Isolation CPUShares=CpuShares:i Memory:i NanoCPUs=NanoCpus:i CgroupParent BlkioWeight:i
        BlkioWeightDevice:[]any BlkioDeviceReadBps:[]any BlkioDeviceWriteBps:[]any BlkioDeviceReadIOps:[]any BlkioDeviceWriteIOps:[]any
        CPUPeriod=CpuPeriod:i CPUQuota=CpuQuota:i CPURealtimePeriod=CpuRealtimePeriod:i CPURealtimeRuntime=CpuRealtimeRuntime:i CpusetCpus
        CpusetMems Devices:[]container.DeviceMapping DeviceCgroupRules:[]s DeviceRequests:[]any KernelMemory?:i KernelMemoryTCP?:i
        MemoryReservation:i MemorySwap:i MemorySwappiness:*i OomKillDisable:*b PidsLimit:*i Ulimits:[]container.Ulimit CPUCount=CpuCount:i
        CPUPercent=CpuPercent:i IOMaximumIOps:i IOMaximumBandwidth:i Mounts?:[]mount.Mount MaskedPaths:[]s ReadonlyPaths:[]s Init?:*b""",
    "container.LogConfig": "Type Config:{}s",
    "container.RestartPolicy": "Name MaximumRetryCount:i",
    "container.DeviceMapping": "PathOnHost PathInContainer CgroupPermissions",
    "container.Ulimit": "Name Hard:i Soft:i",
    "nat.PortBinding": "HostIP=HostIp HostPort",
    "mount.Mount": """Type? Source? Target? ReadOnly?:b Consistency? BindOptions?:any VolumeOptions?:any ImageOptions?:any TmpfsOptions?:any
        ClusterOptions?:any""",
    "container.NetworkSettings": """Bridge SandboxID SandboxKey Ports:<>[]nat.PortBinding HairpinMode:b LinkLocalIPv6Address
        LinkLocalIPv6PrefixLen:i SecondaryIPAddresses:[]network.Address SecondaryIPv6Addresses:[]network.Address EndpointID Gateway
        GlobalIPv6Address GlobalIPv6PrefixLen:i IPAddress IPPrefixLen:i IPv6Gateway MacAddress Networks:{}*network.EndpointSettings""",
    "network.Address": "Addr PrefixLen:i",
    "network.EndpointSettings": """IPAMConfig:*network.EndpointIPAMConfig Links:[]s Aliases:[]s MacAddress DriverOpts:{}s GwPriority:i NetworkID
        EndpointID Gateway IPAddress IPPrefixLen:i IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen:i DNSNames:[]s""",
    "network.EndpointIPAMConfig": "IPv4Address? IPv6Address? LinkLocalIPs?:[]s",
    "network.Inspect": """Name ID=Id Created:t Scope Driver EnableIPv4:b EnableIPv6:b IPAM:network.IPAM Internal:b Attachable:b Ingress:b
        ConfigFrom:network.ConfigReference ConfigOnly:b Containers:{}network.EndpointResource Options:{}s Labels:{}s Peers?:[]any
        Services?:{}any""",
    "network.IPAM": "Driver Options:{}s Config:[]network.IPAMConfig",
    "network.IPAMConfig": "Subnet? IPRange? Gateway? AuxAddress=AuxiliaryAddresses?:{}s",
    "network.ConfigReference": "Network",
    "network.EndpointResource": "Name EndpointID MacAddress IPv4Address IPv6Address",
    "image.InspectResponse": """ID=Id RepoTags:[]s RepoDigests:[]s Parent Comment Created? Container? ContainerConfig?:*container.Config
        DockerVersion Author Config:*DockerOCIImageConfig Architecture Variant? Os OsVersion? Size:i VirtualSize?:i
        GraphDriver:storage.DriverData RootFS:image.RootFS Metadata:image.Metadata Descriptor?:any Manifests?:[]any""",
    "DockerOCIImageConfig": """User? ExposedPorts?:<>e Env?:[]s Entrypoint?:[]s Cmd?:[]s Volumes?:{}e WorkingDir? Labels?:{}s StopSignal?
        ArgsEscaped?:b Healthcheck?:*HealthcheckConfig OnBuild?:[]s Shell?:[]s""",
    "image.RootFS": "Type? Layers?:[]s",
    "image.Metadata": "LastTagTime?:t",
    "volume.Volume": """ClusterVolume?:any CreatedAt? Driver Labels:{}s Mountpoint Name Options:{}s Scope Status?:{}any
        UsageData?:*volume.UsageData""",
    "volume.UsageData": "RefCount:i Size:i",
    "*events.Message": "Status=status? ID=id? From=from? Type Action Actor:events.Actor Scope=scope? Time=time?:i TimeNano=timeNano?:i",
    "events.Actor": "ID Attributes:{}s",
    "types.Version": """Platform:types.Platform Components?:[]types.ComponentVersion Version APIVersion=ApiVersion MinAPIVersion? GitCommit
        GoVersion Os Arch KernelVersion? Experimental?:b BuildTime?""",
    "types.Platform": "Name",
    "types.ComponentVersion": "Name Version Details?:{}s",
    "system.clientVersion": """Platform?:*system.platformInfo Version? APIVersion=ApiVersion? DefaultAPIVersion? GitCommit? GoVersion? Os?
        Arch? BuildTime? Context""",
    "system.platformInfo": "Name?",
    "system.versionInfo": "Client:system.clientVersion Server:*types.Version",
    "system.dockerInfo": """ID Containers:i ContainersRunning:i ContainersPaused:i ContainersStopped:i Images:i Driver DriverStatus:[][]s
        SystemStatus?:[][]s Plugins:system.PluginsInfo MemoryLimit:b SwapLimit:b KernelMemory?:b KernelMemoryTCP?:b CPUCfsPeriod=CpuCfsPeriod:b
        CPUCfsQuota=CpuCfsQuota:b CPUShares:b CPUSet:b PidsLimit:b IPv4Forwarding:b Debug:b NFd:i OomKillDisable:b NGoroutines:i SystemTime
        LoggingDriver CgroupDriver CgroupVersion? NEventsListener:i KernelVersion OperatingSystem OSVersion OSType Architecture
        IndexServerAddress RegistryConfig:any NCPU:i MemTotal:i GenericResources:[]any DockerRootDir HTTPProxy=HttpProxy HTTPSProxy=HttpsProxy
        NoProxy Name Labels:[]s ExperimentalBuild:b ServerVersion Runtimes:{}any DefaultRuntime Swarm:any LiveRestoreEnabled:b Isolation
        InitBinary ContainerdCommit:system.Commit RuncCommit:system.Commit InitCommit:system.Commit SecurityOptions:[]s ProductLicense?
        DefaultAddressPools?:[]system.NetworkAddressPool FirewallBackend?:*system.FirewallInfo CDISpecDirs:[]s DiscoveredDevices?:[]any
        Containerd?:any Warnings:[]s ServerErrors?:[]s ClientInfo?:*system.clientInfo ClientErrors?:[]s""",
    "system.sparseInfo": "ClientInfo:*system.clientInfo",
    "system.PluginsInfo": "Volume:[]s Network:[]s Authorization:[]s Log:[]s",
    "system.Commit": "ID",
    "system.NetworkAddressPool": "Base Size:i",
    "system.FirewallInfo": "Driver Info:[][]s",
    "system.clientInfo": """Debug:b Platform?:*system.platformInfo Version? APIVersion=ApiVersion? DefaultAPIVersion? GitCommit? GoVersion? Os?
        Arch? BuildTime? Context Plugins:[]any Warnings:[]s""",
    "why.Answer": "From To Asked Protocol Port:i Result Cause:*why.Stage Also:[]s Stages:[]why.Stage",
    "why.Stage": "Stage Verdict Code Sentence Object Owner Fix Evidence:why.Evidence",
    "why.Evidence": "Model Kernel Probe",
}

_fields: "dict[str, list[tuple[str, str, bool, str]]]" = {}


def fields_of(shape: str) -> "list[tuple[str, str, bool, str]]":
    """(Go name, JSON name, left out when empty, type) of each field."""
    if shape not in _fields:
        parsed: list[tuple[str, str, bool, str]] = []
        for word in SHAPES[shape].split():
            name, _, type = word.partition(":")
            quiet = name.endswith("?")
            name, _, wire = name.removesuffix("?").partition("=")
            parsed.append((name, wire or name, quiet, type or "s"))
        _fields[shape] = parsed
    return _fields[shape]


def typed(shape: str, value: "Any") -> "Any":
    """A decoded JSON value as a value of the type."""
    if shape in _PLAIN:
        return _plain(shape, value)
    if shape in SHAPES:
        return structure(shape, value if isinstance(value, dict) else {})
    if shape.startswith("[]"):
        items = [typed(shape[2:], each) for each in value] if value is not None else []
        return Slice(go_name(shape[2:]), items, nil=value is None)
    if shape.startswith("[2]"):
        return Slice(go_name(shape[3:]), value or [0, 0])
    if shape.startswith(("{}", "<>")):
        inner = shape[2:]
        entries = {key: typed(inner, each) for key, each in value.items()} if value is not None else {}
        return Map(go_name(inner), lambda: typed(inner, None), entries, nil=value is None, key=_KEYS[shape[:2]])
    if value is None:
        return Nil(go_name(shape))
    found = typed(shape[1:], value)
    if isinstance(found, Struct):
        found.pointer = True
    return found


def structure(shape: str, value: "dict[str, Any]") -> Struct:
    """An object as a struct of the shape."""
    fields = fields_of(shape)
    return Struct(
        shape,
        {name: typed(type, value.get(wire)) for name, wire, _, type in fields},
        {name: wire for name, wire, _, _ in fields},
        frozenset(name for name, _, quiet, _ in fields if quiet),
    )


_KEYS = {"{}": "string", "<>": "nat.Port"}
_PLAIN = {"e": "struct {}", "s": "string", "b": "bool", "i": "int", "f": "float64", "t": "time.Time", "d": "time.Duration", "any": "interface {}"}


def _plain(shape: str, value: "Any") -> "Any":
    if shape == "any":
        return value
    if shape == "e":
        return Struct("struct {}", {}, {})
    if shape == "b":
        return bool(value)
    if shape == "i":
        return int(value or 0)
    if shape == "f":
        return float(value or 0)
    if shape == "t":
        return Instant(value or "0001-01-01T00:00:00Z")
    if shape == "d":
        return Duration(value or 0)
    return "" if value is None else str(value)


def go_name(shape: str) -> str:
    """The type as Go prints it."""
    if shape in _PLAIN:
        return _PLAIN[shape]
    if shape[:2] in _KEYS:
        return f"map[{_KEYS[shape[:2]]}]{go_name(shape[2:])}"
    for mark in ("[]", "*"):
        if shape.startswith(mark):
            return mark + go_name(shape[len(mark) :])
    return shape
