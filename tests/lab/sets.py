# SPDX-License-Identifier: Apache-2.0
"""What the kernel's sets must hold, worked out from dockerd and the links alone.

`wrong(lab)` compares every element that names a container's address, MAC or port with
the endpoints that exist; nothing may be missing and nothing left over.
"""
import ipaddress
import json

import lab as lab_mod


def link_local(mac):
    b = [int(x, 16) for x in mac.split(":")]
    b[0] ^= 2
    return str(ipaddress.IPv6Address("fe80::" + "%02x%02x:%02xff:fe%02x:%02x%02x" % tuple(b)))


def flat(x):
    """The scalars of one element's key, as text."""
    if isinstance(x, list):
        return flat(x[0])               # [key, data]
    if isinstance(x, dict):
        if "elem" in x:
            return flat(x["elem"]["val"])
        if "concat" in x:
            return tuple(s for part in x["concat"] for s in flat(part))
        if "prefix" in x:
            return (f"{x['prefix']['addr']}/{x['prefix']['len']}",)
        return (json.dumps(x),)
    x = str(x)
    if x.startswith("0x") and len(x) == 34:     # an address that nft knows only as 16 bytes
        x = str(ipaddress.IPv6Address(int(x, 16)))
    return (x,)


def kernel(lab):
    """{"inet zone_of4": {(key, ...), ...}, ...}, and the chains of the netdev table."""
    out = {}
    for item in json.loads(lab.host.exec("nft", "-j", "list", "ruleset"))["nftables"]:
        for kind in ("set", "map"):
            s = item.get(kind)
            if s and s["table"] == "bulkhead":
                elems = {flat(e) for e in s.get("elem", [])}
                if s["name"] == "pin4t":    # an address that nft knows only as four bytes
                    elems = {(port, str(ipaddress.IPv4Address(int(a, 0)))) for port, a in elems}
                out[f"{s['family']} {s['name']}"] = elems
        c = item.get("chain")
        if c and c["table"] == "bulkhead" and c["family"] == "netdev":
            out.setdefault("netdev chains", set()).add((c["name"],))
    return out


class Endpoint:
    def __init__(self, who, bridge, mac, addresses, published):
        self.who, self.bridge, self.mac, self.published = who, bridge, mac, published
        self.v4 = {a for a in addresses if "." in a}
        self.v6 = {str(ipaddress.ip_address(a)) for a in addresses if ":" in a} | {link_local(mac)}


def endpoints(lab):
    """All that dockerd has on bridges now, containers and image builds."""
    out = []
    containers = {c["Id"]: c for c in lab.api("GET", "/containers/json")}
    for n in lab.api("GET", "/networks"):
        if n["Driver"] != "bridge":
            continue
        n = lab.api("GET", f"/networks/{n['Id']}")
        bridge = (n["Options"] or {}).get("com.docker.network.bridge.name",
                                          "docker0" if n["Name"] == "bridge" else "br-" + n["Id"][:12])
        for cid, e in n["Containers"].items():
            if cid.startswith("ep-"):
                continue
            addresses = [e[k].split("/")[0] for k in ("IPv4Address", "IPv6Address") if e[k]]
            c = containers.get(cid)
            out.append(Endpoint(e["Name"], bridge, e["MacAddress"], addresses,
                                bool(c) and any(p.get("PublicPort") for p in c["Ports"])))
    return out


def wrong(lab):
    """Texts of what is missing and what is left over; [] when all is as it must be."""
    held, eps = kernel(lab), endpoints(lab)
    links = {x["ifname"]: x for x in json.loads(lab.host.exec("ip", "-j", "addr"))}
    own = {(a["local"],) for x in links.values() for a in x["addr_info"]}   # gateways are nobody's to take either
    bad = []

    def compare(name, want, got):
        bad.extend(f"{name}: missing {x}" for x in sorted(want - got))
        bad.extend(f"{name}: left over {x}" for x in sorted(got - want))
    on_bridge = {4: {(e.bridge, a) for e in eps for a in e.v4}, 6: {(e.bridge, a) for e in eps for a in e.v6}}
    by_lo = {4: {("lo", a) for e in eps if e.published for a in e.v4},
             6: {("lo", a) for e in eps if e.published for a in e.v6 if not a.startswith("fe80:")}}
    for v in (4, 6):
        compare(f"zone_of{v}", on_bridge[v] | by_lo[v], held[f"inet zone_of{v}"])
        compare(f"drops{v}", on_bridge[v], held[f"inet drops{v}"])
        every = {a for _, a in on_bridge[v]}
        bad += [f"legs{v}: left over {x}" for x in held[f"inet legs{v}"] if x[0] not in every]
        if f"bridge owned{v}" in held:
            compare(f"owned{v}", {(a,) for a in every}, held[f"bridge owned{v}"] - own)
    pins = {mac.lower(): port for port, mac in held["bridge pinm"]}
    compare("pinm", {(e.mac,) for e in eps}, {(m,) for m in pins})
    if "bridge owned_mac" in held:
        compare("owned_mac", {(e.mac,) for e in eps}, held["bridge owned_mac"])
    for name in ("ports", "drops"):
        compare(name, {(p,) for p in pins.values()}, held[f"bridge {name}"])
    for name, v in (("pin4", 4), ("pin4t", 4), ("pin6", 6), ("pin6t", 6)):
        compare(name, {(pins.get(e.mac, '?'), *([] if name.endswith("t") else [e.mac]), a) for e in eps for a in (e.v4 if v == 4 else e.v6)},
                held[f"bridge {name}"])
    for e in eps:
        port = links.get(pins.get(e.mac, ""), {})
        if port.get("master") != e.bridge:
            bad.append(f"{e.who}: pinned to {pins.get(e.mac)}, which is no port of {e.bridge}")
    for name in ("inet nf_call4", "inet nf_call6"):
        bad += [f"{name}: left over {x}" for x in held[name] if x[0] not in links]
    indices = {str(x["ifindex"]) for x in links.values()}
    bad += [f"netdev: left over {c}" for (c,) in held.get("netdev chains", ()) if c.removeprefix("in_") not in indices]
    return bad


def check(test, lab, timeout=10):
    """Waits until the kernel holds exactly what exists. A timeout fails with what differs."""
    state = {}

    def right():
        state["bad"] = wrong(lab)
        return not state["bad"]
    try:
        lab_mod.wait_for("sets", right, timeout, 0.1)
    except lab_mod.LabError:
        test.fail(f"{len(state['bad'])} elements are wrong:\n" + "\n".join(state["bad"][:30]))
