/* SPDX-License-Identifier: Apache-2.0 */
/* What tools/bench sends, and what receives it. Every sender is bounded in time and prints one line of JSON.
 *
 *   load sink PORT...                  serves until killed: TCP gives back what it gets; UDP answers a greeting on an odd port, so
 *                                      that the flow is established, nothing on an even one
 *   load udp ADDRESS PORT SECONDS BYTES    as many datagrams as it can, after a greeting to an odd port: {"sent", "wall", "cpu"}
 *   load rr ADDRESS PORT SECONDS       requests over one connection: {"n", "p50", "p99"} (microseconds)
 *   load crr ADDRESS PORT SECONDS      a connection for each request: {"n", "wall", "failed"}
 *
 * cpu is the sender's processor time: with the sender on one processor, the packet's way to the receiver's socket is
 * walked in its time. ksoftirqd's is not in it: whoever runs this adds it. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define REQUEST 32
#define SAMPLES_MAX 2000000
#define GREETING 'H'

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static socklen_t address(const char *text, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1) {
		errno = EINVAL;
		die(text);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)atoi(port));
	return sizeof(*six);
}

/* A socket that is connected, or -1. */
static int reach(const struct sockaddr_storage *to, socklen_t n, int kind)
{
	int fd = socket(to->ss_family, kind | SOCK_CLOEXEC, 0), one = 1;
	struct timeval second = {.tv_sec = 1};

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (kind == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)to, n) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- the receiver */

static int listener(int kind, const char *port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, zero = 0;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		die("bind");
	if (kind == SOCK_STREAM && listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void watch(int epoll, int fd, int index)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)index << 32 | (uint32_t)fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

/* Nobody reads there: what does not fit is thrown away, which costs the least. */
static void only_hold(int fd)
{
	int least = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
}

/* A filter that lets nothing but greetings up, so that the flood after one wakes nobody. */
static void only_greetings(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),		/* the byte behind the UDP header */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GREETING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 2048),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog p = {.len = 4, .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0)
		die("SO_ATTACH_FILTER");
}

static void greet(int fd)
{
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	char b[2048];

	while (recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &n) >= 0) {
		if (sendto(fd, b, 1, 0, (struct sockaddr *)&from, n) < 0 && errno != EAGAIN)
			die("sendto");
		n = sizeof(from);
	}
}

static void serve_stream(int epoll, int fd)
{
	char b[REQUEST];
	ssize_t n = recv(fd, b, sizeof(b), 0);

	if (n > 0 && send(fd, b, (size_t)n, MSG_NOSIGNAL) == n)
		return;
	if (n < 0 && errno == EAGAIN)
		return;
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

static void sink(int n_ports, char **ports)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[BATCH];

	if (epoll < 0)
		die("epoll_create1");
	for (int i = 0; i < n_ports; i++) {
		int fd = listener(SOCK_DGRAM, ports[i]);

		watch(epoll, listener(SOCK_STREAM, ports[i]), 1);
		if (atoi(ports[i]) % 2 == 1) {
			only_greetings(fd);
			watch(epoll, fd, 2);
		} else {
			only_hold(fd);
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, BATCH, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)events[i].data.u64, kind = (int)(events[i].data.u64 >> 32), one = 1, c;

			if (kind == 2) {
				greet(fd);
			} else if (kind == 0) {
				serve_stream(epoll, fd);
			} else if ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
				setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				watch(epoll, c, 0);
			}
		}
	}
}

/* ---- the senders */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* A busy machine may take its time. */
static bool greeted(int fd)
{
	char b = GREETING;

	for (int i = 0; i < 5; i++)
		if (send(fd, &b, 1, 0) == 1 && recv(fd, &b, 1, 0) == 1)
			return true;
	return false;
}

static void udp(const struct sockaddr_storage *to, socklen_t n, double seconds, size_t bytes, bool hello)
{
	static char data[2048] = "S";
	struct iovec io = {.iov_base = data, .iov_len = bytes < sizeof(data) ? bytes : sizeof(data)};
	struct mmsghdr m[BATCH];
	int fd = reach(to, n, SOCK_DGRAM);
	double start, cpu, end;
	long sent = 0;

	if (fd < 0)
		die("connect");
	if (hello && !greeted(fd))
		die("no answer");
	memset(m, 0, sizeof(m));
	for (int i = 0; i < BATCH; i++) {
		m[i].msg_hdr.msg_iov = &io;
		m[i].msg_hdr.msg_iovlen = 1;
	}
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	do {
		int r = sendmmsg(fd, m, BATCH, 0);

		if (r < 0 && errno != ENOBUFS && errno != ECONNREFUSED)
			die("sendmmsg");
		sent += r > 0 ? r : 0;
		end = now(CLOCK_MONOTONIC);
	} while (end - start < seconds);
	printf("{\"sent\": %ld, \"wall\": %.6f, \"cpu\": %.6f}\n", sent, end - start, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static bool ask(int fd)
{
	char b[REQUEST] = "Q";
	size_t got = 0;

	if (send(fd, b, sizeof(b), MSG_NOSIGNAL) != sizeof(b))
		return false;
	while (got < sizeof(b)) {
		ssize_t n = recv(fd, b + got, sizeof(b) - got, 0);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static void rr(const struct sockaddr_storage *to, socklen_t n, double seconds)
{
	double *took = malloc(SAMPLES_MAX * sizeof(*took)), start = now(CLOCK_MONOTONIC), t = start;
	int fd = reach(to, n, SOCK_STREAM);
	size_t k = 0;

	if (!took || fd < 0)
		die("connect");
	while (t - start < seconds && k < SAMPLES_MAX) {
		double before = t;

		if (!ask(fd))
			die("no answer");
		t = now(CLOCK_MONOTONIC);
		took[k++] = (t - before) * 1e6;
	}
	qsort(took, k, sizeof(*took), by_size);
	printf("{\"n\": %zu, \"p50\": %.2f, \"p99\": %.2f}\n", k, took[k / 2], took[k * 99 / 100]);
	free(took);
}

/* The client closes by a reset, so that no ports are used up by TIME_WAIT. */
static void crr(const struct sockaddr_storage *to, socklen_t n, double seconds)
{
	double start = now(CLOCK_MONOTONIC), t;
	struct linger hard = {.l_onoff = 1};
	long good = 0, failed = 0;

	do {
		int fd = reach(to, n, SOCK_STREAM);

		if (fd >= 0 && ask(fd))
			good++;
		else
			failed++;
		if (fd >= 0) {
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
			close(fd);
		}
		t = now(CLOCK_MONOTONIC);
	} while (t - start < seconds);
	printf("{\"n\": %ld, \"failed\": %ld, \"wall\": %.6f}\n", good, failed, t - start);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage to;
	socklen_t n;

	signal(SIGPIPE, SIG_IGN);
	if (argc >= 3 && strcmp(argv[1], "sink") == 0)
		sink(argc - 2, argv + 2);
	if (argc < 5) {
		fprintf(stderr, "load: sink PORT... | udp ADDRESS PORT SECONDS BYTES | rr ADDRESS PORT SECONDS | crr ADDRESS PORT SECONDS\n");
		return 2;
	}
	n = address(argv[2], argv[3], &to);
	if (strcmp(argv[1], "udp") == 0 && argc == 6)
		udp(&to, n, atof(argv[4]), (size_t)atoi(argv[5]), atoi(argv[3]) % 2 == 1);
	else if (strcmp(argv[1], "rr") == 0)
		rr(&to, n, atof(argv[4]));
	else if (strcmp(argv[1], "crr") == 0)
		crr(&to, n, atof(argv[4]));
	else
		return 2;
	return 0;
}
