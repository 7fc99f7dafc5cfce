/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership of tables as this kernel has it: one socket, kept by a duplicate, taken over when nobody has it. */
#include "nft_net.h"

#include "../../src/nft/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#define OWNED (BH_TABLE_OWNER | BH_TABLE_PERSIST)

static const char text[] =
	"table inet bulkhead {\n"
	"  set s { type ipv4_addr; elements = { 10.0.0.1 }; }\n"
	"  chain c { type filter hook forward priority -10; policy accept;\n    ip saddr @s drop\n  }\n"
	"}\n"
	"table bridge bulkhead {\n  chain b { type filter hook forward priority -10; policy accept;\n    accept\n  }\n}\n";

/* What TEXT is, with FLAGS; read from a kernel of its own. */
static struct bh_ruleset *wanted_new(uint32_t flags)
{
	struct bh_nft *n;
	struct bh_ruleset *r;

	nft_load(text);
	n = kernel_new();
	r = observe(n);
	r->tables[BH_FAMILY_INET].flags = r->tables[BH_FAMILY_BRIDGE].flags = flags;
	bh_nft_free(n);
	netns_fresh();
	return r;
}

static void strangers_cannot(void)
{
	static const char *const changes[] = { "add chain inet bulkhead mine", "delete table bridge bulkhead",
		"flush chain inet bulkhead c", "add element inet bulkhead s { 10.0.0.2 }", "flush table inet bulkhead" };

	for (size_t i = 0; i < BH_ARRAY_SIZE(changes); i++) {
		char *out = nft_run(changes[i], 1);

		assert_non_null(strstr(out, "Operation not permitted"));
		free(out);
	}
	nft_ok("flush ruleset");	/* says that it did, and passes over */
}

/* Handles say whether something was made anew. */
static char *handles(void)
{
	return nft_run("-a -s list ruleset | sed 's/# progname [^ ]*//; /flags/d'", 0);
}

static void assert_handles(const char *before)
{
	char *now = handles();

	assert_string_equal(before, now);
	free(now);
}

static void test_only_the_socket_that_owns(void **state)
{
	struct bh_ruleset *wanted = wanted_new(OWNED), *seen;
	struct bh_nft *n = kernel_new(), *other = kernel_new();
	struct bh_error err = {0};
	struct bh_plan *plan;

	(void)state;
	bring(n, wanted);
	strangers_cannot();
	seen = observe(n);
	assert_int_equal(seen->tables[BH_FAMILY_INET].flags, OWNED);
	assert_int_equal(seen->tables[BH_FAMILY_INET].owner, bh_nft_port(n));
	bh_ruleset_free(seen);
	/* another socket of the same process is a stranger */
	seen = observe(other);
	assert_int_equal(seen->tables[BH_FAMILY_BRIDGE].flags, OWNED | BH_TABLE_FOREIGN);
	assert_int_equal(seen->tables[BH_FAMILY_BRIDGE].owner, bh_nft_port(n));
	plan = plan_new(wanted, seen);
	assert_int_equal(other->ops->apply(other, plan, &err), -EPERM);
	assert_string_equal(err.msg, "table inet bulkhead: Operation not permitted");
	bh_plan_free(plan);
	bh_ruleset_free(seen);
	seen = observe(n);
	assert_same(wanted, seen, "after strangers");
	bh_ruleset_free(seen);
	bh_nft_free(other);
	bh_nft_free(n);
	bh_ruleset_free(wanted);
}

static void test_taken_over(void **state)
{
	struct bh_ruleset *wanted = wanted_new(OWNED), *seen;
	struct bh_nft *n = kernel_new();
	char *before;

	(void)state;
	bring(n, wanted);
	before = handles();
	bh_nft_free(n);		/* nobody owns them now, and they are there */
	n = kernel_new();
	seen = observe(n);
	assert_int_equal(seen->tables[BH_FAMILY_INET].flags, BH_TABLE_PERSIST);
	assert_int_equal(seen->tables[BH_FAMILY_INET].owner, 0);
	bh_ruleset_free(seen);
	bring(n, wanted);
	assert_handles(before);
	strangers_cannot();
	bh_nft_free(n);

	/* what strangers did meanwhile is undone, what they left alone stays as it is */
	nft_ok("add chain inet bulkhead mine '{ type filter hook input priority 0; policy drop; }'");
	nft_ok("insert rule bridge bulkhead b drop");
	n = kernel_new();
	bring(n, wanted);
	strangers_cannot();
	free(before);
	before = handles();
	assert_non_null(strstr(before, "ip saddr @s drop"));
	assert_null(strstr(before, "mine"));
	bh_nft_free(n);
	free(before);
	bh_ruleset_free(wanted);
}

static void test_dormant(void **state)
{
	struct bh_ruleset *wanted = wanted_new(BH_TABLE_PERSIST | BH_TABLE_DORMANT), *seen;
	struct bh_nft *n = kernel_new();

	(void)state;
	bring(n, wanted);
	wanted->tables[BH_FAMILY_INET].flags = wanted->tables[BH_FAMILY_BRIDGE].flags = OWNED;
	seen = observe(n);
	assert_int_equal(seen->tables[BH_FAMILY_INET].flags, BH_TABLE_PERSIST | BH_TABLE_DORMANT);
	bh_ruleset_free(seen);
	bring(n, wanted);	/* owned, and awake */
	strangers_cannot();
	bh_nft_free(n);
	bh_ruleset_free(wanted);
}

/* A table that does not persist gets no owner; it is replaced in one transaction. */
static void test_plain(void **state)
{
	struct bh_ruleset *wanted = wanted_new(OWNED);
	struct bh_change own = { .kind = BH_OWN_TABLE, .family = BH_FAMILY_INET, .table = &wanted->tables[BH_FAMILY_INET] };
	struct bh_plan plan = {0};
	struct bh_nft *n;
	struct bh_error err = {0};

	(void)state;
	nft_load(text);
	n = kernel_new();
	assert_int_equal(bh_vec_push(&plan.changes, own), 0);
	assert_int_equal(n->ops->apply(n, &plan, &err), -EOPNOTSUPP);
	bh_vec_clear(&plan.changes);
	bring(n, wanted);
	strangers_cannot();
	bh_nft_free(n);
	bh_ruleset_free(wanted);
}

static void test_kept_socket(void **state)
{
	struct bh_ruleset *wanted = wanted_new(OWNED), *seen;
	struct bh_nft *n = kernel_new();
	struct bh_error err = {0};
	uint32_t port = bh_nft_port(n);
	char dump[64] = {0}, *before;
	struct nlmsghdr *nlh = (struct nlmsghdr *)dump;
	int fd;

	(void)state;
	bring(n, wanted);
	before = handles();
	fd = fcntl(bh_nft_fd(n), F_DUPFD_CLOEXEC, 3);
	assert_true(fd >= 0);
	/* the process ends in the middle of a dump that nobody reads */
	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	assert_true(send(fd, dump, nlh->nlmsg_len, 0) > 0);
	bh_nft_free(n);
	strangers_cannot();

	if (bh_nft_new_from(fd, &n, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(bh_nft_port(n), port);
	seen = observe(n);
	assert_same(wanted, seen, "by the kept socket");
	bh_ruleset_free(seen);
	assert_handles(before);
	bh_table_set(&wanted->tables[BH_FAMILY_INET], "s")->elems.n = 0;
	bring(n, wanted);
	bh_nft_free(n);
	free(before);
	bh_ruleset_free(wanted);
}

static void test_sockets_that_will_not_do(void **state)
{
	struct bh_nft *n = NULL, *there;
	struct bh_error err = {0};
	int fd;

	(void)state;
	assert_int_equal(bh_nft_new_from(-1, &n, NULL), -EINVAL);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(bh_nft_new_from(fd, &n, NULL), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1);	/* closed */
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_int_equal(bh_nft_new_from(fd, &n, NULL), -EINVAL);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);	/* never bound: no port id */
	assert_int_equal(bh_nft_new_from(fd, &n, NULL), -EINVAL);
	there = kernel_new();
	fd = fcntl(bh_nft_fd(there), F_DUPFD_CLOEXEC, 3);
	netns_fresh();
	assert_int_equal(bh_nft_new_from(fd, &n, &err), -EINVAL);
	assert_string_equal(err.msg, "the socket that was kept is none of nf_tables in this network namespace");
	assert_null(n);
	bh_nft_free(there);
}

/* The fake says the same. */
static void test_fake(void **state)
{
	struct bh_ruleset *wanted = wanted_new(BH_TABLE_PERSIST), *empty = calloc(1, sizeof(*empty)), *seen;
	struct bh_nft *n = NULL;
	struct bh_table foreign = {.present = true};
	struct bh_plan *plan, add = {0};

	(void)state;
	assert_non_null(empty);
	assert_int_equal(bh_nft_fake_new(&n), 0);
	assert_int_equal(bh_nft_fd(n), -1);
	bring(n, wanted);
	wanted->tables[BH_FAMILY_INET].flags = wanted->tables[BH_FAMILY_BRIDGE].flags = OWNED;
	bring(n, wanted);
	bring(n, empty);
	foreign.flags = OWNED | BH_TABLE_FOREIGN;
	assert_int_equal(bh_vec_push(&add.changes, ((struct bh_change){ .kind = BH_ADD_TABLE, .table = &foreign })), 0);
	assert_int_equal(n->ops->apply(n, &add, NULL), 0);
	bh_vec_clear(&add.changes);
	seen = observe(n);
	plan = plan_new(empty, seen);
	assert_int_equal(n->ops->apply(n, plan, NULL), -EPERM);
	bh_plan_free(plan);
	bh_ruleset_free(seen);
	bh_nft_free(n);
	bh_ruleset_free(wanted);
	bh_ruleset_free(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_only_the_socket_that_owns, netns_setup),
		cmocka_unit_test_setup(test_taken_over, netns_setup),
		cmocka_unit_test_setup(test_dormant, netns_setup),
		cmocka_unit_test_setup(test_plain, netns_setup),
		cmocka_unit_test_setup(test_kept_socket, netns_setup),
		cmocka_unit_test_setup(test_sockets_that_will_not_do, netns_setup),
		cmocka_unit_test_setup(test_fake, netns_setup),
	};

	return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
