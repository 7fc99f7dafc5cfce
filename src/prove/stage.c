/* SPDX-License-Identifier: Apache-2.0 */
/* The namespaces and what is in them. The near one has the sysctls that let this host forward, and those of br_netfilter as they are here. */
#include "stage.h"

#include <bulkhead/scratch.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INDEX_BASE 1000
#define RECEIVE_BUFFER (16 << 20)
#define CALL4 "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define CALL6 "/proc/sys/net/bridge/bridge-nf-call-ip6tables"

static const struct {
	int family, proto;
} ears[STAGE_EARS] = {
	{AF_INET, IPPROTO_TCP}, {AF_INET, IPPROTO_UDP}, {AF_INET, IPPROTO_ICMP},
	{AF_INET6, IPPROTO_TCP}, {AF_INET6, IPPROTO_UDP}, {AF_INET6, IPPROTO_ICMPV6},
};

/* "0" or "1". -errno when it is not there. */
static int sysctl_read(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	return fd < 0 ? -errno : read(fd, &c, 1) == 1 ? c == '1' : -EIO;
}

static int sysctl_write(const char *path, bool on, struct bh_error *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
		return bh_fail(err, -errno, "cannot set %s in a throw-away namespace: %s", path, strerror(errno));
	return 0;
}

static int namespace_new(struct bh_error *err)
{
	if (unshare(CLONE_NEWNET) < 0)
		return bh_fail(err, -errno, "cannot make a throw-away network namespace: %s", strerror(errno));
	return 0;
}

static int socket_new(int family, int proto, struct bh_error *err)
{
	const int size = RECEIVE_BUFFER;
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0)
		return bh_fail(err, -errno, "cannot open a raw socket in a throw-away namespace: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));	/* too little is seen: what is lost is sent again */
	return fd;
}

static int far_open(struct stage *s, struct bh_scratch **ret, struct bh_error *err)
{
	const int on = 1;
	int r = namespace_new(err);

	if (r < 0)
		return r;
	s->far = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->far < 0)
		return bh_fail(err, -errno, "cannot open a throw-away network namespace: %s", strerror(errno));
	s->wires = socket_new(AF_PACKET, htons(ETH_P_ALL), err);
	if (s->wires < 0)
		return s->wires;
	if (setsockopt(s->wires, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0)
		return bh_fail(err, -errno, "cannot prepare a packet socket: %s", strerror(errno));
	/* Only what is sent on purpose. */
	if (s->p->ipv6)
		r = sysctl_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", true, err);
	return r < 0 ? r : bh_scratch_new(ret, err);
}

static int near_sysctls(int call4, int call6, bool ipv6, struct bh_error *err)
{
	const struct {
		const char *path;
		bool on;
	} sysctls[] = {
		{"/proc/sys/net/ipv4/ip_forward", true}, {"/proc/sys/net/ipv4/conf/all/rp_filter", false},
		{"/proc/sys/net/ipv4/conf/default/rp_filter", false}, {CALL4, call4 == 1}, {CALL6, call6 == 1},
		{"/proc/sys/net/ipv6/conf/all/forwarding", true}, {"/proc/sys/net/ipv6/conf/default/accept_dad", false},
	};
	int r = 0;

	for (size_t i = 0; i < BH_ARRAY_SIZE(sysctls) - (ipv6 ? 0 : 2) && r == 0; i++)
		r = sysctl_write(sysctls[i].path, sysctls[i].on, err);
	return r;
}

static int near_sockets(struct stage *s, struct bh_error *err)
{
	const int on = 1;

	for (size_t i = 0; i < STAGE_EARS; i++) {
		if (ears[i].family == AF_INET6 && !s->p->ipv6)
			continue;
		s->ears[i] = socket_new(ears[i].family, ears[i].proto, err);
		if (s->ears[i] < 0)
			return s->ears[i];
	}
	for (int six = 0; six < 1 + s->p->ipv6; six++) {	/* raw(7): IPPROTO_RAW brings its headers with it, in IPv6 too */
		s->mouths[six] = socket_new(six ? AF_INET6 : AF_INET, IPPROTO_RAW, err);
		if (s->mouths[six] < 0)
			return s->mouths[six];
	}
	if (setsockopt(s->mouths[0], IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) < 0)
		return bh_fail(err, -errno, "cannot prepare a raw socket: %s", strerror(errno));
	return 0;
}

static int bridges_make(const struct stage *s, struct bh_scratch *near, struct bh_error *err)
{
	int r = bh_scratch_up(near, 1, err);	/* lo */

	for (size_t i = 0; i < BH_PROOF_BRIDGES && r == 0; i++) {
		const struct bh_proof_bridge *b = &s->p->bridges[i];

		r = bh_scratch_bridge(near, b->name, &b->mac, b->ip, b->ip6, err);
		for (int six = 0; six < 1 + s->p->ipv6 && r == 0; six++) {
			const struct bh_prefix at = {b->gateways[six], b->nets[six].len};

			r = bh_scratch_addr(near, b->name, &at, err);
		}
	}
	return r;
}

/* The first end behind the same interface: several zones may be. */
static size_t first_behind(const struct bh_proof *p, size_t end)
{
	size_t i = 0;

	while (strcmp(p->ends.v[i].dev, p->ends.v[end].dev) != 0)
		i++;
	return i;
}

static int wire_make(struct stage *s, size_t end, struct bh_scratch *near, struct bh_scratch *far, struct bh_error *err)
{
	const struct bh_proof_end *e = &s->p->ends.v[end];
	struct bh_scratch_wire w = {
		.name = e->dev,
		.bridge = e->place == BH_PROOF_PORT ? s->p->bridges[e->bridge].name : NULL,
		.mac = e->mac,
		.index = INDEX_BASE + 2 * (int)end,
		.peer_ns = s->far,
		.peer_index = INDEX_BASE + 2 * (int)end + 1,
	};
	int r;

	if (w.bridge)
		w.mac.b[2] ^= 0xff;	/* the other end's is what the rules know */
	s->peers[end] = w.peer_index;
	r = bh_scratch_veth(near, &w, err);
	return r < 0 ? r : bh_scratch_up(far, w.peer_index, err);
}

/* How the near host finds an end. */
static int way_make(const struct stage *s, size_t end, struct bh_scratch *near, struct bh_error *err)
{
	const struct bh_proof_end *e = &s->p->ends.v[end];
	int r = 0;

	for (int six = 0; six < 2 && r == 0; six++) {
		if (!e->addrs[six].family)
			continue;
		if (e->place == BH_PROOF_PORT)
			r = bh_scratch_neighbour(near, s->p->bridges[e->bridge].name, &e->addrs[six], &e->mac, err);
		else
			r = bh_scratch_route(near, e->dev, &e->addrs[six], err);
	}
	return r;
}

static int ends_make(struct stage *s, struct bh_scratch *near, struct bh_scratch *far, struct bh_error *err)
{
	int r = 0;

	s->peers = calloc(s->p->ends.n + 1, sizeof(*s->peers));
	if (!s->peers)
		return bh_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < s->p->ends.n && r == 0; i++) {
		size_t first = first_behind(s->p, i);

		if (s->p->ends.v[i].place == BH_PROOF_HOST)
			continue;
		if (first == i)
			r = wire_make(s, i, near, far, err);
		s->peers[i] = s->peers[first];
		if (r == 0)
			r = way_make(s, i, near, err);
	}
	return r;
}

/* Bridges learn where everybody is, so that nothing is flooded later. */
static void introduce(const struct stage *s)
{
	for (size_t i = 0; i < s->p->ends.n; i++) {
		const struct bh_proof_end *e = &s->p->ends.v[i];
		struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = s->peers[i]};
		uint8_t frame[ETH_ZLEN] = {0};

		if (e->place != BH_PROOF_PORT)
			continue;
		memcpy(frame, s->p->bridges[e->bridge].mac.b, ETH_ALEN);
		memcpy(frame + ETH_ALEN, e->mac.b, ETH_ALEN);
		frame[12] = 0x88;	/* 88b5: for experiments (IEEE 802) */
		frame[13] = 0xb5;
		(void)sendto(s->wires, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));	/* without it more is flooded */
	}
}

bool bh_prove_has_ipv6(void)
{
	return access("/proc/sys/net/ipv6", F_OK) == 0;
}

int stage_open(struct stage *s, const struct bh_proof *p, struct bh_error *err)
{
	_cleanup_(bh_scratch_freep) struct bh_scratch *far = NULL, *near = NULL;
	int call4 = sysctl_read(CALL4), call6 = sysctl_read(CALL6), r;

	*s = (struct stage){.p = p, .far = -1, .wires = -1, .ears = {-1, -1, -1, -1, -1, -1}, .mouths = {-1, -1}};
	if (call4 < 0 || call6 < 0)
		return bh_fail(err, -ENOENT, "br_netfilter is not loaded, so no rule sees what passes between ports of a bridge: modprobe br_netfilter");
	r = far_open(s, &far, err);
	if (r == 0)
		r = namespace_new(err);
	if (r == 0)
		r = near_sysctls(call4, call6, p->ipv6, err);
	if (r == 0)
		r = near_sockets(s, err);
	if (r == 0)
		r = bh_scratch_new(&near, err);
	if (r == 0)
		r = bridges_make(s, near, err);
	if (r == 0)
		r = ends_make(s, near, far, err);
	if (r == 0)
		introduce(s);
	return r;
}

void stage_close(struct stage *s)
{
	bh_closep(&s->far);
	bh_closep(&s->wires);
	for (size_t i = 0; i < STAGE_EARS; i++)
		bh_closep(&s->ears[i]);
	bh_closep(&s->mouths[0]);
	bh_closep(&s->mouths[1]);
	free(s->peers);
}

/* Whose MAC the frame is for: the other end's on one bridge, else the host's. */
static const struct bh_mac *next_hop(const struct stage *s, const struct bh_probe *probe)
{
	const struct bh_proof_end *from = &s->p->ends.v[probe->from], *to = &s->p->ends.v[probe->to];

	if (from->place == BH_PROOF_OUTSIDE)
		return &s->p->ends.v[first_behind(s->p, probe->from)].mac;
	return to->place == BH_PROOF_PORT && to->bridge == from->bridge ? &to->mac : &s->p->bridges[from->bridge].mac;
}

static void send_by_wire(const struct stage *s, const struct bh_probe *probe, const uint8_t *packet, size_t n)
{
	static const struct bh_mac router = {{0x02, 0xb0, 0x1d, 0xfe, 0, 1}};
	const struct bh_proof_end *via = &s->p->ends.v[probe->via];
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = s->peers[probe->via], .sll_protocol = htons(probe->family == 4 ? ETH_P_IP : ETH_P_IPV6)};
	uint8_t frame[ETH_HLEN + BH_PROVE_PACKET];

	memcpy(frame, next_hop(s, probe)->b, ETH_ALEN);
	memcpy(frame + ETH_ALEN, via->place == BH_PROOF_OUTSIDE ? router.b : via->mac.b, ETH_ALEN);
	memcpy(frame + 2 * ETH_ALEN, &to.sll_protocol, sizeof(to.sll_protocol));
	memcpy(frame + ETH_HLEN, packet, n);
	(void)sendto(s->wires, frame, ETH_HLEN + n, 0, (struct sockaddr *)&to, sizeof(to));
}

static void send_from_host(const struct stage *s, const struct bh_probe *probe, const uint8_t *packet, size_t n)
{
	const struct bh_addr *a = &s->p->ends.v[probe->to].addrs[probe->family == 6];
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	memcpy(&v4.sin_addr, a->b, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, a->b, sizeof(v6.sin6_addr));
	if (probe->family == 4)
		(void)sendto(s->mouths[0], packet, n, 0, (struct sockaddr *)&v4, sizeof(v4));	/* EPERM is how a denial looks from here */
	else
		(void)sendto(s->mouths[1], packet, n, 0, (struct sockaddr *)&v6, sizeof(v6));
}

void stage_send(const struct stage *s, const struct bh_probe *probe, uint16_t sport, uint32_t id)
{
	uint8_t packet[BH_PROVE_PACKET];
	size_t n = bh_prove_packet(s->p, probe, sport, id, packet);

	if (s->p->ends.v[probe->from].place == BH_PROOF_HOST)
		send_from_host(s, probe, packet, n);
	else
		send_by_wire(s, probe, packet, n);
}

/* An IP packet's transport: where it starts and ends. */
static bool transport_of(const uint8_t *ip, size_t n, bool six, uint8_t *ret_proto, size_t *ret_at)
{
	size_t least = six ? 40 : 20;

	if (n < least)
		return false;
	*ret_proto = six ? ip[6] : ip[9];
	*ret_at = six ? 40 : (size_t)(ip[0] & 15) * 4;
	return *ret_at >= least && *ret_at <= n;
}

static void hear_wires(const struct stage *s, void (*fn)(void *userdata, uint32_t id, int ifindex), void *userdata)
{
	uint8_t b[512], proto;
	struct sockaddr_ll at;
	size_t from;
	uint32_t id;
	ssize_t n;

	for (socklen_t size = sizeof(at); (n = recvfrom(s->wires, b, sizeof(b), 0, (struct sockaddr *)&at, &size)) >= 0; size = sizeof(at))
		if (n > ETH_HLEN && (at.sll_protocol == htons(ETH_P_IP) || at.sll_protocol == htons(ETH_P_IPV6)) &&
			transport_of(b + ETH_HLEN, (size_t)n - ETH_HLEN, at.sll_protocol == htons(ETH_P_IPV6), &proto, &from) &&
			bh_prove_id(proto, b + ETH_HLEN + from, (size_t)n - ETH_HLEN - from, &id))
			fn(userdata, id, at.sll_ifindex);
}

static void hear_host(int fd, bool six, uint8_t proto, void (*fn)(void *userdata, uint32_t id, int ifindex), void *userdata)
{
	uint8_t b[512], its;
	uint32_t id;
	ssize_t n;

	while ((n = recv(fd, b, sizeof(b), 0)) >= 0) {
		size_t at = 0;	/* IPv6 comes without its header, ipv6(7) */

		if ((six || transport_of(b, (size_t)n, false, &its, &at)) && bh_prove_id(proto, b + at, (size_t)n - at, &id))
			fn(userdata, id, 0);
	}
}

void stage_hear(const struct stage *s, void (*fn)(void *userdata, uint32_t id, int ifindex), void *userdata)
{
	hear_wires(s, fn, userdata);
	for (size_t i = 0; i < STAGE_EARS; i++)
		hear_host(s->ears[i], ears[i].family == AF_INET6, (uint8_t)ears[i].proto, fn, userdata);
}

bool stage_wait(const struct stage *s, int ms)
{
	struct pollfd fds[STAGE_EARS + 1] = {{.fd = s->wires, .events = POLLIN}};

	for (size_t i = 0; i < STAGE_EARS; i++)
		fds[i + 1] = (struct pollfd){.fd = s->ears[i], .events = POLLIN};
	return poll(fds, STAGE_EARS + 1, ms) > 0;
}
