"""A value for each field that create takes, to see what becomes of it; and what is known of differences that no single request shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MEMORY = 64 << 20
WEB = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]}
BLOCK = next((f"/dev/{found.name}" for found in Path("/sys/block").iterdir() if Path("/dev", found.name).is_block_device()), "/dev/sda")
DEVICE = [{"Path": BLOCK, "Rate": 1 << 20}]

CONFIG: dict[str, Any] = {
    "Hostname": "sample",
    "Domainname": "example.org",
    "User": "nobody",
    "AttachStdin": True,
    "AttachStdout": True,
    "AttachStderr": True,
    "ExposedPorts": {"80/tcp": {}},
    "Tty": True,
    "OpenStdin": True,
    "StdinOnce": True,
    "Env": ["A=b"],
    "Cmd": ["sleep", "1000"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 3600_000_000_000},
    "ArgsEscaped": True,
    "Image": "busybox",
    "Volumes": {"/sample": {}},
    "WorkingDir": "/tmp",
    "Entrypoint": ["sh", "-c", "sleep 1000"],
    "NetworkDisabled": True,
    "MacAddress": "02:42:ac:11:00:77",
    "OnBuild": ["RUN true"],
    "Labels": {"a": "b"},
    "StopSignal": "SIGINT",
    "StopTimeout": 3,
    "Shell": ["/bin/sh", "-c"],
}
HOST_CONFIG: dict[str, Any] = {
    "CpuShares": 512,
    "Memory": MEMORY,
    "CgroupParent": "sample",
    "BlkioWeight": 300,
    "BlkioWeightDevice": [{"Path": BLOCK, "Weight": 300}],
    "BlkioDeviceReadBps": DEVICE,
    "BlkioDeviceWriteBps": DEVICE,
    "BlkioDeviceReadIOps": DEVICE,
    "BlkioDeviceWriteIOps": DEVICE,
    "CpuPeriod": 100_000,
    "CpuQuota": 50_000,
    "CpuRealtimePeriod": 1_000_000,
    "CpuRealtimeRuntime": 1000,
    "CpusetCpus": "0",
    "CpusetMems": "0",
    "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/sample", "CgroupPermissions": "rwm"}],
    "DeviceCgroupRules": ["c 1:3 rwm"],
    "DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}],
    "MemoryReservation": MEMORY,
    "MemorySwap": -1,
    "MemorySwappiness": 10,
    "NanoCpus": 500_000_000,
    "OomKillDisable": True,
    "Init": True,
    "PidsLimit": 100,
    "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    "CpuCount": 1,
    "CpuPercent": 50,
    "IOMaximumIOps": 100,
    "IOMaximumBandwidth": 1 << 20,
    "Binds": ["/tmp:/sample"],
    "ContainerIDFile": "/tmp/sample",
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
    "NetworkMode": "none",
    "PortBindings": WEB,
    "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
    "AutoRemove": True,
    "VolumeDriver": "local",
    "VolumesFrom": ["donor"],
    "Mounts": [
        {"Type": "tmpfs", "Target": "/sample", "TmpfsOptions": {"SizeBytes": 1 << 20}},
        {"Type": "image", "Source": "busybox", "Target": "/other", "ImageOptions": {"Subpath": "bin"}},
    ],
    "ConsoleSize": [24, 80],
    "Annotations": {"a": "b"},
    "CapAdd": ["CAP_NET_ADMIN"],
    "CapDrop": ["CAP_CHOWN"],
    "CgroupnsMode": "private",
    "Dns": ["192.0.2.1"],
    "DnsOptions": ["ndots:2"],
    "DnsSearch": ["example.org"],
    "ExtraHosts": ["sample:192.0.2.2"],
    "GroupAdd": ["10"],
    "IpcMode": "shareable",
    "Cgroup": "",
    "Links": ["donor:alias"],
    "OomScoreAdj": 100,
    "PidMode": "host",
    "Privileged": True,
    "PublishAllPorts": True,
    "ReadonlyRootfs": True,
    "SecurityOpt": ["no-new-privileges"],
    "StorageOpt": {"size": "1G"},
    "Tmpfs": {"/sample": "size=1m"},
    "UTSMode": "host",
    "UsernsMode": "host",
    "ShmSize": 1 << 20,
    "Sysctls": {"net.ipv4.ip_forward": "0"},
    "Runtime": "runc",
    "Isolation": "default",
    "MaskedPaths": ["/proc/kcore"],
    "ReadonlyPaths": ["/proc/sys"],
}
# Fields of Windows alone: a Linux engine takes and ignores them, Docker's as well.
WINDOWS = {"CpuCount", "CpuPercent", "Isolation", "ArgsEscaped"}

# What differs in an endpoint that is there; beside it stands everything that says no by itself.
PARTLY = {
    (
        "POST",
        "/build",
    ): "by buildah, which has to be installed; remote contexts are refused; no BuildKit; `rm=0` is warned of: a step runs in a container of "
    "buildah's, which the daemon could neither list nor start and which goes with the step; so `forcerm` is what is done anyhow; of "
    "RUN's options `--mount` of type bind, cache and tmpfs is done, the rest has Docker's sentence; "
    "`session` and `buildid` are warned of; `securityopt`, which Docker refuses on Linux, counts; a size that is no number is 400, not 0",
    (
        "GET",
        "/system/df",
    ): "a record of the build cache is the image of a step in buildah's store, which keeps no account of when and how often it was used; the lists "
    "of before 1.52 stay beside the sums unless `verbose`, as Docker's daemon has it still, whatever its description says",
    ("GET", "/events"): "`id`, `status` and `from` are told in every version, not before 1.52 alone: docker-compose 1.29 reads them",
    ("GET", "/containers/{id}/logs"): "the files are in the form of the CRI (docs/logs.md), the stream is Docker's",
    ("GET", "/images/json"): "one platform an image: with `manifests` none are told, as by Docker without its containerd store",
    ("GET", "/images/{name}/json"): "one platform an image: with `manifests` none are told, as by Docker without its containerd store",
    (
        "POST",
        "/build/prune",
    ): "the cache is buildah's: aged from when it was made, a chain of steps goes as one; BuildKit's own filters are 400",
    ("GET", "/plugins"): "an empty list: drivers are part of the engine",
    ("GET", "/plugins/{name}/json"): "none is ever found: drivers are part of the engine",
}
# Described fields that an answer leaves out, as Docker's does or for a reason.
UNTOLD = {
    "SizeRw": "only where the request says size=1",
    "SizeRootFs": "only where the request says size=1",
    "ImageManifestDescriptor": "of Docker's containerd store",
    "Storage": "of Docker's containerd store",
    "Descriptor": "of Docker's containerd store",
    "Manifests": "of Docker's containerd store",
    "Identity": "of Docker's containerd store",
    "Variant": "where the image has one",
    "OsVersion": "of Windows",
    "Services": "of Swarm",
    "Peers": "of Swarm",
    "ClusterVolume": "of Swarm",
    "Status": "of other drivers",
    "UsageData": "in system df alone",
    "ProductLicense": "of Docker's products",
    "DiscoveredDevices": "CDI is not there",
    "CDISpecDirs": "CDI is not there",
    "NRI": "of containerd",
    "Containerd": "there is none",
    "Experimental": "where it is true",
}
# Flags of docker's commands that ours have not, or take otherwise.
FLAGS = {
    "--disable-content-trust": "content trust is Docker's Notary v1, which it is giving up itself",
    "--use-api-socket": "it hands the engine, and with it root, to the container",
    "--context": "one engine, one socket: --host says which",
}
