// SPDX-License-Identifier: Apache-2.0
/*
 * probe: senders and receivers that agree on markers.
 *
 *   probe recv PORT[,PORT...]     TCP and UDP, both families, on every port (or on
 *                                 ADDRESS@PORT alone); prints a line
 *                                 "TIME_US PROTO PORT SOURCE MARKER..." for each
 *                                 line or datagram that arrives, and echoes it
 *   probe send TIMEOUT_MS         reads lines "PROTO ADDRESS[@SOURCE] PORT MARKER", sends
 *                                 all at once, prints "MARKER RESULT MS" for each: ok
 *                                 (echoed), refused, reset, unreach, timeout, error
 *   probe stream ADDRESS PORT MARKER GAP_MS SECONDS
 *                                 one TCP connection, a line "MARKER N" every GAP_MS;
 *                                 prints how it ended and when
 *   probe blast PROTO ADDRESS PORT SECONDS [MBIT]
 *                                 as fast as it goes, or UDP at MBIT
 *   probe sink PROTO PORT SECONDS prints "TIME_US BYTES" (payload) every 100 ms
 *   probe sniff SECONDS           prints one line a frame that an interface receives:
 *                                 "TIME_US ETHERTYPE PROTO SOURCE DEST SPORT DPORT FLAGS PAYLOAD"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 4096

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_ll ll;
};

static void die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static socklen_t address_parse(const char *text, const char *port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)atoi(port));
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) != 1)
		die(text);
	return sizeof(ret->v6);
}

static const char *address_text(const union address *a, char *buf, size_t size)
{
	if (a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->v4.sin_addr, buf, (socklen_t)size);
	else if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], buf, (socklen_t)size);
	else
		inet_ntop(AF_INET6, &a->v6.sin6_addr, buf, (socklen_t)size);
	return buf;
}

static int listener(int type, const char *address, const char *port)
{
	union address a;
	socklen_t len = address_parse(address, port, &a);
	int fd = socket(a.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, zero = 0;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, &a.sa, len) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

struct source {
	int kind; /* 0: listening TCP, 1: UDP, 2: a connection */
	int port;
	union address peer;
	size_t used;
	char line[512];
};

static struct pollfd fds[MAX_FDS];
static struct source sources[MAX_FDS];
static int n_fds;

static void source_add(int fd, int kind, int port, const union address *peer)
{
	if (n_fds == MAX_FDS) {
		close(fd);
		return;
	}
	fds[n_fds] = (struct pollfd){.fd = fd, .events = POLLIN};
	memset(&sources[n_fds], 0, sizeof(sources[n_fds]));
	sources[n_fds].kind = kind;
	sources[n_fds].port = port;
	if (peer)
		sources[n_fds].peer = *peer;
	n_fds++;
}

static void record(const char *proto, const struct source *s, const union address *from, const char *line, size_t len)
{
	char buf[INET6_ADDRSTRLEN];

	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	printf("%lld %s %d %s %.*s\n", now_us(), proto, s->port, address_text(from, buf, sizeof(buf)), (int)len, line);
}

/* An answer that UDP leaves without a chosen source would come from another of our
 * addresses: the kernel is asked which one the datagram was sent to. */
static void recv_udp(int fd, struct source *s)
{
	char data[2048], control[256];
	union address from;
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, 0);

	if (n < 0)
		return;
	record("udp", s, &from, data, (size_t)n);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	iov.iov_len = (size_t)n;
	if (sendmsg(fd, &m, MSG_DONTWAIT) < 0 && errno == EINVAL) {
		m.msg_control = NULL;
		m.msg_controllen = 0;
		sendmsg(fd, &m, MSG_DONTWAIT);
	}
}

/* Returns 0 when the connection is over. */
static int recv_tcp(int fd, struct source *s)
{
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return 0;
	for (ssize_t i = 0; i < n; i++) {
		if (s->used < sizeof(s->line))
			s->line[s->used++] = data[i];
		if (data[i] == '\n') {
			record("tcp", s, &s->peer, s->line, s->used);
			s->used = 0;
		}
	}
	send(fd, data, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return 1;
}

static _Noreturn int cmd_recv(char **argv)
{
	int one = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (char *p = strtok(argv[0], ","); p; p = strtok(NULL, ",")) {
		char *at = strchr(p, '@'), *port = at ? at + 1 : p;
		int udp;

		if (at)
			*at = 0;
		udp = listener(SOCK_DGRAM, at ? p : "::", port);
		setsockopt(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		source_add(listener(SOCK_STREAM, at ? p : "::", port), 0, atoi(port), NULL);
		source_add(udp, 1, atoi(port), NULL);
	}
	puts("ready");
	for (;;) {
		if (poll(fds, (nfds_t)n_fds, -1) < 0 && errno != EINTR)
			die("poll");
		for (int i = n_fds - 1; i >= 0; i--) {
			if (!fds[i].revents)
				continue;
			if (sources[i].kind == 0) {
				union address from;
				socklen_t len = sizeof(from);
				int fd = accept4(fds[i].fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

				if (fd >= 0)
					source_add(fd, 2, sources[i].port, &from);
			} else if (sources[i].kind == 1) {
				recv_udp(fds[i].fd, &sources[i]);
			} else if (!recv_tcp(fds[i].fd, &sources[i])) {
				close(fds[i].fd);
				n_fds--;
				fds[i] = fds[n_fds];
				sources[i] = sources[n_fds];
			}
		}
	}
}

struct cell {
	char proto[8], marker[128];
	int fd, state; /* 0: connecting, 1: sent */
	long long start;
};

static const char *cell_error(int e, const struct cell *c)
{
	switch (e) {
	case ECONNREFUSED:
		return "refused";
	case ECONNRESET:
	case EPIPE:
		return c->state ? "reset" : "refused";
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EACCES:
	case EPERM:
	case ENOPROTOOPT:
		return "unreach";
	default:
		return "error";
	}
}

static void cell_end(struct cell *c, const char *result)
{
	printf("%s %s %.1f\n", c->marker, result, (double)(now_us() - c->start) / 1000);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void cell_send(struct cell *c)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "%s\n", c->marker);

	c->state = 1;
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
		cell_end(c, cell_error(errno, c));
}

static void cell_start(struct cell *c, char *address, const char *port)
{
	union address a, from;
	char *source = strchr(address, '@');
	socklen_t len;
	int tcp = !strcmp(c->proto, "tcp");

	if (source)
		*source++ = 0;
	len = address_parse(address, port, &a);

	c->start = now_us();
	c->state = 0;
	c->fd = socket(a.sa.sa_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	if (source && bind(c->fd, &from.sa, address_parse(source, "0", &from)) < 0)
		die(source);
	if (connect(c->fd, &a.sa, len) < 0 && errno != EINPROGRESS)
		cell_end(c, cell_error(errno, c));
	else if (!tcp)
		cell_send(c);
}

static void cell_event(struct cell *c)
{
	char data[512];
	int e = 0;
	socklen_t len = sizeof(e);
	ssize_t n;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len);
	if (e) {
		cell_end(c, cell_error(e, c));
	} else if (c->state == 0) {
		cell_send(c);
	} else {
		n = recv(c->fd, data, sizeof(data), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		cell_end(c, n < 0 ? cell_error(errno, c) : n == 0 ? "reset" : "ok");
	}
}

static int cmd_send(char **argv)
{
	static struct cell cells[MAX_FDS];
	char line[512], address[128], port[16];
	int n = 0, left;
	long long end;

	while (n < MAX_FDS && fgets(line, sizeof(line), stdin)) {
		struct cell *c = &cells[n];

		if (sscanf(line, "%7s %127s %15s %127[^\n]", c->proto, address, port, c->marker) != 4)
			continue;
		cell_start(c, address, port);
		n++;
	}
	end = now_us() + atoll(argv[0]) * 1000;
	do {
		long long wait = (end - now_us()) / 1000;

		left = 0;
		for (int i = 0; i < n; i++) {
			if (cells[i].fd < 0)
				continue;
			sources[left].port = i;
			fds[left++] = (struct pollfd){.fd = cells[i].fd, .events = cells[i].state ? POLLIN : POLLOUT};
		}
		if (!left || wait <= 0)
			break;
		if (poll(fds, (nfds_t)left, (int)wait + 1) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < left; i++)
			if (fds[i].revents)
				cell_event(&cells[sources[i].port]);
	} while (left);
	for (int i = 0; i < n; i++)
		if (cells[i].fd >= 0)
			cell_end(&cells[i], "timeout");
	return 0;
}

static int cmd_stream(char **argv)
{
	union address a;
	socklen_t len = address_parse(argv[0], argv[1], &a);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, seq = 0;
	long long gap = atoll(argv[3]) * 1000, end = now_us() + atoll(argv[4]) * 1000000;
	char text[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, &a.sa, len) < 0)
		die("connect");
	printf("%lld connected\n", now_us());
	while (now_us() < end) {
		int n = snprintf(text, sizeof(text), "%s %d\n", argv[2], seq++);

		if (send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) {
			printf("%lld ended %s\n", now_us(), strerror(errno));
			return 0;
		}
		while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
			;
		usleep((useconds_t)gap);
	}
	printf("%lld ended time\n", now_us());
	return 0;
}

static int cmd_blast(char **argv)
{
	static char data[65536];
	union address a;
	socklen_t len = address_parse(argv[1], argv[2], &a);
	int tcp = !strcmp(argv[0], "tcp");
	int fd = socket(a.sa.sa_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	long long start = now_us(), end = start + (long long)(atof(argv[3]) * 1e6), sent = 0;
	double rate = argv[4] ? atof(argv[4]) * 1e6 / 8 : 0; /* bytes a second */
	/* 1472 and 1452: an Ethernet frame of 1514 in both families */
	size_t size = tcp ? sizeof(data) : a.sa.sa_family == AF_INET ? 1472 : 1452;
	struct timeval t = {.tv_sec = 1};
	int big = 4 << 20;

	if (connect(fd, &a.sa, len) < 0)
		die("connect");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	/* What waits in a queue of ours counts as the socket's: a usual buffer is 10 ms of 100 Mbit/s, and a sender that is
	 * off the processor for longer than that would offer less than the cap. */
	if (!tcp)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	(void)!nice(-15);
	while (now_us() < end) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n > 0)
			sent += n;
		else if (tcp && errno != EAGAIN)
			die("send");
		if (rate > 0) {
			long long due = start + (long long)((double)sent / rate * 1e6) - now_us();

			if (due > 200)
				usleep((useconds_t)due);
		}
	}
	printf("%lld\n", sent);
	return 0;
}

static int cmd_sink(char **argv)
{
	static char data[262144];
	int tcp = !strcmp(argv[0], "tcp"), big = 16 << 20;
	long long total = 0, tick = 0, end = now_us() + (long long)(atof(argv[2]) * 1e6);

	setvbuf(stdout, NULL, _IOLBF, 0);
	source_add(listener(tcp ? SOCK_STREAM : SOCK_DGRAM, "::", argv[1]), tcp ? 0 : 1, 0, NULL);
	if (!tcp)
		setsockopt(fds[0].fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)); /* what the cap let pass is counted */
	(void)!nice(-15);	/* a reader that falls behind shows what came earlier */
	puts("ready");
	while (now_us() < end) {
		poll(fds, (nfds_t)n_fds, 20);
		for (int i = 0; i < n_fds; i++) {
			ssize_t n;

			if (sources[i].kind == 0 && fds[i].revents) {
				int fd = accept4(fds[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

				if (fd >= 0)
					source_add(fd, 2, 0, NULL);
				continue;
			}
			if (sources[i].kind == 0 || !fds[i].revents)
				continue;
			for (int k = 0; k < 256 && (n = recv(fds[i].fd, data, sizeof(data), MSG_DONTWAIT)) > 0; k++)
				total += n;
			if (n == 0 && tcp)
				fds[i].fd = -1;
		}
		if (now_us() / 100000 != tick) {
			tick = now_us() / 100000;
			printf("%lld %lld\n", now_us(), total);
		}
	}
	return 0;
}

static void sniff_print(const unsigned char *p, size_t n, int type)
{
	char src[INET6_ADDRSTRLEN] = "-", dst[INET6_ADDRSTRLEN] = "-", text[65];
	size_t off = 0, used = 0;
	int proto = -1, sport = 0, dport = 0, flags = 0;

	if (type == ETHERTYPE_IP && n >= 20) {
		inet_ntop(AF_INET, p + 12, src, sizeof(src));
		inet_ntop(AF_INET, p + 16, dst, sizeof(dst));
		proto = p[9];
		off = (size_t)(p[0] & 15) * 4;
	} else if (type == ETHERTYPE_IPV6 && n >= 40) {
		inet_ntop(AF_INET6, p + 8, src, sizeof(src));
		inet_ntop(AF_INET6, p + 24, dst, sizeof(dst));
		proto = p[6];
		off = 40;
	}
	if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) && n >= off + 8) {
		sport = p[off] << 8 | p[off + 1];
		dport = p[off + 2] << 8 | p[off + 3];
		if (proto == IPPROTO_TCP && n >= off + 20) {
			flags = p[off + 13];
			off += (size_t)(p[off + 12] >> 4) * 4;
		} else {
			off += 8;
		}
	}
	for (size_t i = off; i < n && used < sizeof(text) - 1; i++)
		if (p[i] > 32 && p[i] < 127)
			text[used++] = (char)p[i];
		else if (p[i] == ' ')
			text[used++] = '_';
	text[used] = 0;
	printf("%lld %04x %d %s %s %d %d %02x %s\n", now_us(), type, proto, src, dst, sport, dport, flags, used ? text : "-");
}

static int cmd_sniff(char **argv)
{
	static unsigned char data[65536];
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL)), big = 8 << 20;
	long long end = now_us() + (long long)(atof(argv[0]) * 1e6);

	if (fd < 0)
		die("AF_PACKET");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (now_us() < end) {
		union address a;
		socklen_t len = sizeof(a);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, 100) <= 0)
			continue;
		n = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, &a.sa, &len);
		if (n >= 0 && a.ll.sll_pkttype != PACKET_OUTGOING && a.ll.sll_hatype != 772 /* loopback */)
			sniff_print(data, (size_t)n, ntohs(a.ll.sll_protocol));
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int min;
		int (*run)(char **argv);
	} verbs[] = {{"recv", 1, cmd_recv}, {"send", 1, cmd_send}, {"stream", 5, cmd_stream},
		     {"blast", 4, cmd_blast}, {"sink", 3, cmd_sink}, {"sniff", 1, cmd_sniff}};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (argc >= 2 + verbs[i].min && !strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argv + 2);
	fprintf(stderr, "usage: probe recv|send|stream|blast|sink|sniff ...\n");
	return 2;
}
