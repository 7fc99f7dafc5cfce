# SPDX-License-Identifier: Apache-2.0
"""Random policies as data in the YAML's own shape (naive.py judges them so), and written down. Only such as are valid: what is refused, and how, others test."""
import json

PORTS = ["tcp/80", "tcp/81", "udp/80", "udp/81", "tcp/53", "udp/53", "tcp", "udp", "tcp/60-90", "udp/1-60", "tcp/1-1000", "udp/81-65535", "icmp", "esp"]
FAMILIES = {"project": "label:project", "front": "label:project", "compose": "compose", "net": "network"}
VALUES = {"project": ("pa", "pb"), "front": ("pa", "pb"), "compose": ("shop", "blog"), "net": ("front", "back")}
CIDRS = ["198.51.100.4/32", "198.51.100.0/29", "198.51.100.0/24", "203.0.113.0/24", "203.0.113.64/26", "2001:db8:51::4/128", "2001:db8:51::/64", "2001:db8:99::/48",
         "10.20.0.0/16", "169.254.169.254/32", "192.168.0.0/16"]


def leaf(r):
    return r.choice((
        lambda: {"labels": {"tier": r.choice(("web", "api", "db", "w*", "?pi", "cache", ["web", "db"], ["api", "c*"]))}},
        lambda: {"labels": {"tier": r.choice(("web", "api", "db"))}},
        lambda: {"labels": r.choice(({"public": "true"}, {"project": "pa"}, {"project": "*"}, {"tier": "*", "project": "p?"}))},
        lambda: {"image-labels": r.choice(({"vendor": "acme"}, {"vendor": "a*"}, {"tier": "web"}))},
        lambda: {"name": r.choice(("web*", "*1", "db?", ["api1", "cache*"], "plain2", "?uilt*"))},
        lambda: {"image": r.choice(("postgres:*", "nginx", "nginx:1.25", "ghcr.io/*", "*/api:2", "redis:7", "docker.io/library/postgres:15", ["busybox", "nginx*"]))},
        lambda: {"network": r.choice(("front", "back", "b*"))},
        lambda: {"compose": r.choice(("shop", "shop/db", "*/api", "b*", ["blog", "shop/api"]))},
        lambda: {"runtime": "docker", "name": r.choice(("web1", "*2"))},
        lambda: {"kind": "container", "name": "cache*"},
    ))()


def selector(r):
    s = leaf(r)
    if r.random() < 0.25:
        s = {**leaf(r), **s}
    if r.random() < 0.15:
        s["not"] = leaf(r)
    if r.random() < 0.15:
        s = {"any": [s, leaf(r)]}
    return s


def policy(r):
    zones = {}
    for name in ("web", "api", "db"):     # so that there are members, and then what makes them go elsewhere
        zones[name] = {"select": {"labels": {"tier": name}} if r.random() < 0.6 else selector(r)}
    for name in r.sample(("more", "odd", "x1"), r.randint(0, 3)):
        zones[name] = {"select": selector(r)}
    for name in r.sample(sorted(FAMILIES), r.randint(0, 3)):
        zones[name] = {"per": FAMILIES[name]}
        if r.random() < 0.3:
            zones[name]["select"] = selector(r)
    cidrs = r.sample(CIDRS, r.randint(0, 5))
    if cidrs:
        half = r.randint(1, len(cidrs))
        zones["office"] = {"cidrs": cidrs[:half]}
        if cidrs[half:]:
            zones["far"] = {"cidrs": cidrs[half:]}
    if r.random() < 0.5:
        zones["vpn"] = {"interfaces": [r.choice(("tail0", "tail*"))]}
    if r.random() < 0.15:
        zones["metadata"] = {"cidrs": ["203.0.113.77/32"]}
    for name, z in zones.items():
        if "select" in z or "per" in z:
            if r.random() < 0.5:
                z["priority"] = r.randint(-2, 3)
            if r.random() < 0.15:
                z["mode"] = r.choice(("audit", "enforce"))
    holders = [n for n, z in zones.items() if "select" in z or "per" in z]
    words = [*holders, "containers", "quarantine", "any"] + [f"{n}:{v}" for n in holders if n in FAMILIES for v in VALUES[n]]
    others = ["host", "lan", "internet", "world"] + [n for n in zones if n in ("office", "far", "vpn")]
    rules, wanted = [], r.randint(30, 60)
    while len(rules) < wanted:
        pick = lambda a, b: r.sample(a, min(len(a), b))
        weights = (holders, holders, holders, words, others, ["any"], others)
        f = sorted(set(pick(r.choice(weights), r.choice((1, 1, 1, 2)))))
        t = sorted(set(pick(r.choice((*weights, ["dns"], ["metadata"], ["dns", "internet"])), r.choice((1, 1, 1, 2)))))
        if "any" in f and "any" in t:
            continue
        if any(a not in words and b not in words for a in f for b in t):    # no container at either end
            continue
        if "any" in (*f, *t) and f == t:
            continue
        rule = {"from": f if len(f) > 1 or r.random() < 0.5 else f[0], "to": t if len(t) > 1 or r.random() < 0.5 else t[0]}
        if r.random() < 0.85:
            rule["ports"] = r.sample(PORTS, r.randint(1, 3))
        if any(a in FAMILIES and b in FAMILIES and FAMILIES[a] == FAMILIES[b] for a in f for b in t) and r.random() < 0.5:
            rule["values"] = r.choice(("different", "any", "equal"))
        rules.append(rule)
    return {"mode": "audit" if r.random() < 0.06 else "enforce", "zones": zones, "allow": rules}


def text(p):
    """As YAML, which JSON is nearly."""
    return (f"version: 1\nmode: {p['mode']}\nzones:\n" + "".join(f"  {n}: {json.dumps(z)}\n" for n, z in p["zones"].items()) +
            "allow:\n" + "".join(f"  - {json.dumps(r)}\n" for r in p["allow"]))
