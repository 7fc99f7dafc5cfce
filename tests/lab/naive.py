# SPDX-License-Identifier: Apache-2.0
"""A second judge of policies, for test_differential.py: the specification read once more, in the plainest way that comes to mind. It shares nothing with
bulkhead: no code, no table, no text. A policy is data, as random_policy.py makes it (the YAML's own shape); facts are what Docker tells of a container.

    verdict(policy, world, src, dst, proto, port) -> (arrives, why)
"""
import fnmatch
import ipaddress
import re

LAN = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"]
METADATA = ["169.254.0.0/16", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32"]


class Container:
    def __init__(self, name, network, labels, image, image_labels, ip4, ip6):
        self.name, self.network, self.image, self.image_labels = name, network, image, image_labels
        self.listed = {**image_labels, **labels}    # as Docker lists them: the image's too
        self.ip4, self.ip6 = ip4, ip6
        # What the image carries with the same value is its author's claim.
        self.labels = {k: v for k, v in self.listed.items() if image_labels.get(k) != v}
        made_by_compose = "com.docker.compose.container-number" in self.labels
        self.project = self.listed.get("com.docker.compose.project") if made_by_compose else None
        self.service = self.listed.get("com.docker.compose.service") if made_by_compose else None


class World:
    """Where addresses are: the host's own, containers, what is on-link, behind which interface, who resolves."""

    def __init__(self, containers, host, onlink, interfaces, resolvers, published):
        self.containers, self.host = containers, set(host)
        self.onlink, self.interfaces = onlink, interfaces   # prefixes; {interface: [prefix]}
        self.resolvers, self.published = set(resolvers), published  # {(proto, port of the host): (container, its port)}


class Party:
    """Who is at an end: a zone, of a family the value too."""

    def __init__(self, zone, value=None, container=False, resolver=False):
        self.zone, self.value, self.container, self.resolver = zone, value, container, resolver

    def __str__(self):
        return self.zone + (f":{self.value}" if self.value is not None else "")


def glob(pattern, text):
    return text is not None and re.fullmatch("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern), text, re.S) is not None


def as_list(x):
    return x if isinstance(x, list) else [x]


def any_glob(patterns, text):
    return any(glob(p, text) for p in as_list(patterns))


def normal_image(name, pattern=False):
    first, slash, _ = name.partition("/")
    if not slash:
        name = "docker.io/library/" + name
    elif not ("." in first or ":" in first or first == "localhost"):
        name = "docker.io/" + name
    elif first == "docker.io" and name.count("/") == 1:
        name = "docker.io/library/" + name.partition("/")[2]
    if "@" not in name and ":" not in name.rpartition("/")[2] and not (pattern and ("*" in name or "?" in name)):
        name += ":latest"
    return name


def matches(select, c):
    for key, want in select.items():
        if key == "labels":
            ok = all(k in c.labels and any_glob(v, c.labels[k]) for k, v in want.items())
        elif key == "image-labels":
            ok = all(k in c.image_labels and any_glob(v, c.image_labels[k]) for k, v in want.items())
        elif key == "name":
            ok = any_glob(want, c.name)
        elif key == "image":
            ok = any(glob(normal_image(p, True), normal_image(c.image)) for p in as_list(want))
        elif key == "network":
            ok = any_glob(want, c.network)
        elif key == "compose":
            ok = c.project is not None and any(glob(p, f"{c.project}/{c.service}") if "/" in p else glob(p, c.project) for p in as_list(want))
        elif key == "runtime":
            ok = any_glob(want, "docker")
        elif key == "kind":
            ok = any_glob(want, "container")
        elif key == "any":
            ok = any(matches(s, c) for s in want)
        elif key == "not":
            ok = not matches(want, c)
        else:
            raise ValueError(key)
        if not ok:
            return False
    return True


def family_value(per, c):
    if per == "compose":
        return c.project
    if per == "network":
        return c.network
    return c.labels.get(per.partition(":")[2])


def zone_of_container(policy, c):
    found = []
    for name, z in policy["zones"].items():
        if "per" in z:
            value = family_value(z["per"], c)
            if value and matches(z.get("select", {}), c):
                found.append((z.get("priority", -1), name, value))
        elif "select" in z and matches(z["select"], c):
            found.append((z.get("priority", 0), name, None))
    best = [f for f in found if f[0] == max(f[0] for f in found)]
    if len(best) != 1:
        return Party("quarantine", container=True)
    return Party(best[0][1], best[0][2], container=True)


def inside(address, prefixes):
    a = ipaddress.ip_address(address)
    lengths = [n.prefixlen for n in map(ipaddress.ip_network, prefixes) if a in n]
    return max(lengths, default=None)


def who(policy, world, address):
    """In the specification's order: the host, containers, zones by interface, by address, metadata, lan, internet."""
    resolver = address in world.resolvers
    if address in world.host:
        return Party("host", resolver=resolver)
    for c in world.containers:
        if address in (c.ip4, c.ip6):
            return zone_of_container(policy, c)
    for name, z in policy["zones"].items():
        for interface, prefixes in world.interfaces.items():
            if any(fnmatch.fnmatchcase(interface, p) for p in z.get("interfaces", [])) and inside(address, prefixes) is not None:
                return Party(name, resolver=resolver)
    best = None
    for name, z in policy["zones"].items():
        n = inside(address, z.get("cidrs", [])) if name != "metadata" else None
        if n is not None and (best is None or n > best[0]):
            best = (n, name)
    if best:
        return Party(best[1], resolver=resolver)
    if inside(address, policy["zones"].get("metadata", {}).get("cidrs", METADATA)) is not None:
        return Party("metadata", resolver=resolver)
    if inside(address, LAN + world.onlink + [p for v in world.interfaces.values() for p in v]) is not None:
        return Party("lan", resolver=resolver)
    return Party("internet", resolver=resolver)


def port_in(ports, proto, port):
    """Whether a rule's ports (empty: everything) have it."""
    for p in ports:
        name, _, numbers = p.partition("/")
        low, _, high = numbers.partition("-")
        if name == proto and (not numbers or (port is not None and int(low) <= port <= int(high or low))):
            return True
    return not ports


def is_in(policy, ref, party):
    """Whether a word of a rule means this zone; pairs have more to say."""
    if ref == "any":
        return party.zone not in ("quarantine", "metadata")
    if ref == "world":
        return party.zone in ("lan", "internet")
    if ref == "containers":
        return party.container and party.zone != "quarantine"
    zone, colon, value = ref.partition(":")
    return party.zone == zone and (not colon or party.value == value)


def pair_opens(policy, rule, f, t, src, dst, proto, port):
    if not is_in(policy, f, src):
        return False
    if t in ("dns", "any") and dst.resolver and proto in ("tcp", "udp") and port == 53:
        return True
    if t == "dns" or not is_in(policy, t, dst):
        return False
    if "any" in (f, t) and src.zone == dst.zone:
        return False    # `any` never opens a zone to itself
    a, b = policy["zones"].get(f, {}), policy["zones"].get(t, {})
    if "per" in a and a.get("per") == b.get("per"):
        how = rule.get("values", "equal")
        return how == "any" or (src.value == dst.value) == (how == "equal")
    return True


def allowed(policy, src, dst, proto, port):
    return any(port_in(rule.get("ports", []), proto, port) and
               any(pair_opens(policy, rule, f, t, src, dst, proto, port) for f in as_list(rule["from"]) for t in as_list(rule["to"]))
               for rule in policy["allow"])


def verdict(policy, world, src, dst, proto, port):
    """Whether a packet from address SRC to address DST arrives, and who was taken to be there."""
    if dst in world.host and (proto, port) in world.published:
        container, port = world.published[proto, port]
        b = zone_of_container(policy, container)
    else:
        b = who(policy, world, dst)
    a = who(policy, world, src)
    text = f"{a} -> {b}{' (resolver)' if b.resolver else ''} {proto}/{port}"
    if not a.container and not b.container:
        return True, text + ": not ours"
    if allowed(policy, a, b, proto, port):
        return True, text + ": a rule"
    mode = policy["zones"].get(b.zone, {}).get("mode", policy["mode"])
    return mode == "audit", text + f": no rule, {mode}"
