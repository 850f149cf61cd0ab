"""The kernel's counters as one reading."""

from __future__ import annotations

from sanbashi.containers.usage import BlockCount, blocks_v1, blocks_v2, cpu_v1, cpu_v2, machine_time, memory_v1, memory_v2, network_counters

DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    1136      10    1    2    0     0          0         0       70       3    4    5    0     0       0          0
"""


def test_interfaces_without_loopback() -> None:
    assert network_counters(DEV) == {
        "eth0": {
            "rx_bytes": 1136,
            "rx_packets": 10,
            "rx_errors": 1,
            "rx_dropped": 2,
            "tx_bytes": 70,
            "tx_packets": 3,
            "tx_errors": 4,
            "tx_dropped": 5,
        }
    }
    assert network_counters("") == {}


def test_processors() -> None:
    assert machine_time("cpu  1 2 3 4 5 6 7 8 9 9\ncpu0 1 2\ncpu1 1 2\nintr 5\n", 100) == (360_000_000, 2)
    v2 = {"cpu.stat": "usage_usec 10\nuser_usec 4\nsystem_usec 6\nnr_periods 2\nnr_throttled 1\nthrottled_usec 3\n"}
    found = cpu_v2(v2, 7, 2)
    assert (found.total, found.user, found.kernel, found.system, found.online) == (10_000, 4_000, 6_000, 7, 2)
    assert (found.periods, found.throttled_periods, found.throttled_time) == (2, 1, 3_000)
    v1 = {"cpuacct.usage": "99\n", "cpuacct.usage_percpu": "90 9 \n", "cpuacct.stat": "user 1\nsystem 2\n", "cpu.stat": "nr_periods 5\n"}
    old = cpu_v1(v1, 7, 2, 100)
    assert (old.total, old.percpu, old.user, old.kernel, old.periods) == (99, (90, 9), 10_000_000, 20_000_000, 5)


def test_memory_without_a_limit_is_the_machines() -> None:
    assert memory_v2({"memory.current": "5\n", "memory.max": "max\n", "memory.stat": "anon 3\nbad\n"}, 1000).limit == 1000
    found = memory_v1({"memory.usage_in_bytes": "5", "memory.limit_in_bytes": "9223372036854771712", "memory.max_usage_in_bytes": "8"}, 1000)
    assert (found.usage, found.limit, found.peak, found.failures) == (5, 1000, 8, 0)
    assert memory_v1({"memory.limit_in_bytes": "64"}, 1000).limit == 64


def test_devices() -> None:
    line = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n253:1 \n"
    assert blocks_v2(line) == {"io_service_bytes_recursive": (BlockCount(8, 0, "read", 1), BlockCount(8, 0, "write", 2))}
    files = {"blkio.bfq.io_service_bytes_recursive": "Total 0\n", "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4\n8:0 Total 4\nTotal 4\n"}
    assert blocks_v1(files)["io_service_bytes_recursive"] == (BlockCount(8, 0, "read", 4), BlockCount(8, 0, "total", 4))
