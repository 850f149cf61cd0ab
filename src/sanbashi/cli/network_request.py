"""The address plan of `network create`: ranges, gateways and reserved addresses to the subnet each belongs to."""

from sanbashi.cli.addresses import contains, packed, parse_cidr
from sanbashi.cli.failure import Failure
from sanbashi.cli.flags import Given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def ipam_of(given: Given) -> "dict[str, Any]":
    """The IPAM part of the request; Failure with docker's words where parts do not fit."""
    subnets, ranges, gateways = given.many("subnet"), given.many("ip-range"), given.many("gateway")
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise Failure("every ip-range or gateway must have a corresponding subnet")
    try:
        plans = plans_of(subnets)
        for each in ranges:
            place(plans, each, "IPRange", "range", "cannot configure multiple ranges ({new}, {old}) on the same subnet ({subnet})")
        for each in gateways:
            place(plans, each, "Gateway", "gateway", "cannot configure multiple gateways ({new}, {old}) for the same subnet ({subnet})")
        for name, address in given.pairs("aux-address").items():
            fitting = [plan for subnet, plan in plans.items() if matches(subnet, address)]
            if not fitting:
                raise Failure(f"no matching subnet for aux-address {address}")
            for plan in fitting:
                plan.setdefault("AuxiliaryAddresses", {})[name] = address
    except ValueError as problem:
        raise Failure(str(problem)) from None
    return {"Driver": given.text("ipam-driver", "default"), "Options": given.pairs("ipam-opt"), "Config": list(plans.values())}


def plans_of(subnets: list[str]) -> "dict[str, dict[str, Any]]":
    """A plan a subnet; Failure where two overlap."""
    plans: dict[str, dict[str, Any]] = {}
    for subnet in subnets:
        for other in plans:
            if matches(subnet, other) or matches(other, subnet):
                raise Failure("multiple overlapping subnet configuration is not supported")
        plans[subnet] = {"Subnet": subnet}
    return plans


def place(plans: "dict[str, dict[str, Any]]", value: str, field: str, noun: str, twice: str) -> None:
    """Puts a range or a gateway into the plan whose subnet holds it."""
    if field == "IPRange":
        parse_cidr(value)
    found = False
    for subnet, plan in plans.items():
        if matches(subnet, value):
            if field in plan:
                raise Failure(twice.format(new=value, old=plan[field], subnet=subnet))
            plan[field] = value
            found = True
    if not found:
        raise Failure(f"no matching subnet for {noun} {value}")


def matches(subnet: str, value: str) -> bool:
    """Whether the subnet holds the address, or the address of the prefix."""
    return contains(subnet, parse_cidr(value)[0] if "/" in value else packed(value))
