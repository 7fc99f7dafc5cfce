// SPDX-License-Identifier: Apache-2.0
/*
 * flood: datagrams with numbers, counted where they arrive.
 *
 *   flood send SECONDS GAP_US MARKER PORT ADDRESS...
 *                        one datagram "MARKER/ADDRESS NUMBER" to each address every GAP_US;
 *                        ends after SECONDS or at SIGTERM and prints "MARKER/ADDRESS SENT FAILED"
 *   flood fresh ...      the same, each datagram from a socket of its own: every one is a new flow
 *   flood tally PORT...  counts what arrives; at SIGTERM prints "MARKER/ADDRESS COUNT DISTINCT
 *                        GAP_MS" (the longest pause between two) and "overflow N" (what this
 *                        program was too slow for)
 *
 * A sender that the machine kept off the processor sends less, never a burst: what is late
 * is left out, so that nothing is lost in a queue that the test itself filled.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TARGETS 64
#define MARKERS 1024
#define PORTS 16

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static socklen_t parse(const char *text, int port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)port);
		return sizeof(ret->v4);
	}
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) != 1)
		die(text);
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons((uint16_t)port);
	return sizeof(ret->v6);
}

struct target {
	const char *text;
	union address to;
	socklen_t len;
	int fd;
	long long sent, failed;
};

static void send_one(struct target *t, const char *marker, int fresh)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "%s/%s %lld", marker, t->text, t->sent);

	if (t->fd < 0)
		t->fd = socket(t->to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		die("socket");
	/* Never connected: the errors that a denial answers with do not come up here. */
	if (sendto(t->fd, text, (size_t)n, MSG_DONTWAIT, &t->to.sa, t->len) == n)
		t->sent++;
	else
		t->failed++;
	if (fresh) {
		close(t->fd);
		t->fd = -1;
	}
}

static int cmd_send(int argc, char **argv, int fresh)
{
	static struct target targets[TARGETS];
	long long gap, due, end;
	int n = 0;

	if (argc < 5)
		return 2;
	gap = atoll(argv[1]);
	for (int i = 4; i < argc && n < TARGETS; i++, n++) {
		targets[n].text = argv[i];
		targets[n].len = parse(argv[i], atoi(argv[3]), &targets[n].to);
		targets[n].fd = -1;
	}
	due = now_us();
	end = due + (long long)(atof(argv[0]) * 1e6);
	while (!stop && now_us() < end) {
		long long wait = due - now_us();

		if (wait > 0)
			usleep((useconds_t)wait);
		for (int i = 0; i < n; i++)
			send_one(&targets[i], argv[2], fresh);
		due += gap;
		if (due < now_us() - gap)
			due = now_us();
	}
	for (int i = 0; i < n; i++)
		printf("%s/%s %lld %lld\n", argv[2], targets[i].text, targets[i].sent, targets[i].failed);
	return 0;
}

struct tally {
	char marker[128];
	long long count, distinct, last, gap;
	unsigned char *seen;
	size_t bits;
};

static struct tally tallies[MARKERS];
static int n_tallies;

static struct tally *tally_of(const char *marker)
{
	for (int i = 0; i < n_tallies; i++)
		if (strncmp(tallies[i].marker, marker, sizeof(tallies[i].marker) - 1) == 0)
			return &tallies[i];
	if (n_tallies == MARKERS)
		return NULL;
	snprintf(tallies[n_tallies].marker, sizeof(tallies[n_tallies].marker), "%.127s", marker);
	return &tallies[n_tallies++];
}

static void count(char *text)
{
	char *space = strrchr(text, ' ');
	struct tally *t;
	size_t number;
	long long now = now_us();

	if (!space)
		return;
	*space = 0;
	number = (size_t)strtoull(space + 1, NULL, 10);
	t = tally_of(text);
	if (!t)
		return;
	t->count++;
	if (t->last && now - t->last > t->gap)
		t->gap = now - t->last;
	t->last = now;
	if (number > 100000000)
		return;
	if (number / 8 >= t->bits) {
		size_t bits = number / 8 * 2 + 4096;

		t->seen = realloc(t->seen, bits);
		if (!t->seen)
			die("memory");
		memset(t->seen + t->bits, 0, bits - t->bits);
		t->bits = bits;
	}
	if (!(t->seen[number / 8] >> number % 8 & 1)) {
		t->seen[number / 8] |= (unsigned char)(1 << number % 8);
		t->distinct++;
	}
}

static void drain(int fd, long long *overflow)
{
	char data[512], control[64];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data) - 1};

	for (int i = 0; i < 256; i++) {
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

		if (n < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
				*overflow = *(unsigned int *)CMSG_DATA(c);
		data[n] = 0;
		count(data);
	}
}

static int cmd_tally(int argc, char **argv)
{
	struct pollfd fds[PORTS];
	long long overflow[PORTS] = {0}, sum = 0;
	int n = 0, one = 1, zero = 0, big = 32 << 20;

	for (; n < argc && n < PORTS; n++) {
		union address a = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(argv[n]))}};
		int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			die("socket");
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
		setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one));
		if (bind(fd, &a.sa, sizeof(a.v6)) < 0)
			die("bind");
		fds[n] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	puts("ready");
	fflush(stdout);
	while (!stop) {
		if (poll(fds, (nfds_t)n, 1000) < 0)
			continue;
		for (int i = 0; i < n; i++)
			if (fds[i].revents)
				drain(fds[i].fd, &overflow[i]);
	}
	for (int i = 0; i < n; i++) {
		drain(fds[i].fd, &overflow[i]);
		sum += overflow[i];
	}
	for (int i = 0; i < n_tallies; i++)
		printf("%s %lld %lld %lld\n", tallies[i].marker, tallies[i].count, tallies[i].distinct, tallies[i].gap / 1000);
	printf("overflow %lld\n", sum);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	if (argc > 2 && !strcmp(argv[1], "send"))
		return cmd_send(argc - 2, argv + 2, 0);
	if (argc > 2 && !strcmp(argv[1], "fresh"))
		return cmd_send(argc - 2, argv + 2, 1);
	if (argc > 2 && !strcmp(argv[1], "tally"))
		return cmd_tally(argc - 2, argv + 2);
	fprintf(stderr, "usage: flood send|fresh SECONDS GAP_US MARKER PORT ADDRESS... | flood tally PORT...\n");
	return 2;
}
