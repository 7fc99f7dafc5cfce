/* SPDX-License-Identifier: Apache-2.0 */
/* Configured beside measured: the rule set that the kernel holds is copied into a throw-away namespace, where packets are sent between endpoints of all
 * zones. What is expected of them is the daemon's policy. */
#include "prove.h"
#include "verb.h"

#include <bulkhead/config.h>
#include <bulkhead/nft.h>
#include <bulkhead/prove.h>
#include <bulkhead/tc.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_TIMEOUT_MS 30000
#define TRIES 3		/* a reload may come between */

/* What is in force, as it was told. */
struct told {
	struct bh_policy *policy;
	struct bh_placement *insts;
	struct bh_inventory *networks;
	struct bh_host *host;
	struct bh_ruleset *seen;
	json_t *doc;
};

static void told_clear(struct told *t)
{
	bh_policy_free(t->policy);
	bh_placement_free(t->insts);
	bh_inventory_free(t->networks);
	bh_host_free(t->host);
	bh_ruleset_free(t->seen);
	json_decref(t->doc);
}

static int read_zones(struct told *t)
{
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(t->doc, "zones"), i, x) {
		struct bh_zone_inst *z = bh_vec_add(&t->insts->insts);
		json_int_t zone = json_integer_value(json_object_get(x, "zone"));

		if (!z || bh_strdup(&z->name, bh_doc_str(x, "name")) < 0 || bh_strdup(&z->value, bh_doc_str(x, "value")) < 0)
			return -ENOMEM;
		if (!z->name || zone < -1 || zone >= (json_int_t)t->policy->zones.n)
			return -EBADMSG;
		z->zone = (int)zone;
		z->builtin = bh_doc_str(x, "builtin") ? bh_builtin_from_name(bh_doc_str(x, "builtin")) : BH_BUILTIN_NONE;
		z->id = (uint32_t)json_integer_value(json_object_get(x, "id"));
	}
	return 0;
}

static int read_network(const json_t *x, struct bh_network *n)
{
	size_t i;
	json_t *y;

	if (bh_strdup(&n->id, bh_doc_str(x, "bridge")) < 0 || bh_strdup(&n->bridge, bh_doc_str(x, "bridge")) < 0)
		return -ENOMEM;
	json_array_foreach(json_object_get(x, "subnets"), i, y) {
		struct bh_prefix p;

		if (!json_is_string(y) || bh_prefix_parse(json_string_value(y), &p) < 0)
			return -EBADMSG;
		if (bh_vec_push(&n->subnets, p) < 0)
			return -ENOMEM;
	}
	json_array_foreach(json_object_get(x, "gateways"), i, y) {
		struct bh_addr a;

		if (!json_is_string(y) || bh_addr_parse(json_string_value(y), &a) < 0)
			return -EBADMSG;
		if (bh_vec_push(&n->gateways, a) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_networks(struct told *t)
{
	size_t i;
	json_t *x;
	int r = 0;

	json_array_foreach(json_object_get(t->doc, "networks"), i, x) {
		struct bh_network *n = bh_vec_add(&t->networks->networks);

		r = n ? read_network(x, n) : -ENOMEM;
		if (r < 0)
			return r;
	}
	json_array_foreach(json_object_get(t->doc, "resolvers"), i, x) {
		struct bh_addr a;

		if (!json_is_string(x) || bh_addr_parse(json_string_value(x), &a) < 0)
			return -EBADMSG;
		if (bh_vec_push(&t->host->resolvers, a) < 0)
			return -ENOMEM;
	}
	return r;
}

static int read_answer(struct told *t)
{
	const char *yaml = bh_doc_str(t->doc, "policy");
	const struct bh_config_text text = {.name = "bulkhead.yaml", .text = yaml, .n = yaml ? strlen(yaml) : 0};
	struct bh_diags diags = {0};
	int r = yaml ? bh_config_parse(&text, 1, &t->policy, &diags) : -EBADMSG;

	bh_diags_clear(&diags);
	t->insts = calloc(1, sizeof(*t->insts));
	t->networks = calloc(1, sizeof(*t->networks));
	if (!t->insts || !t->networks)
		return -ENOMEM;
	if (r == 0)
		r = read_zones(t);
	return r == 0 ? read_networks(t) : r;
}

static int read_kernel(struct told *t, struct bh_error *err)
{
	_cleanup_(bh_nft_freep) struct bh_nft *nft = NULL;
	_cleanup_(bh_tc_freep) struct bh_tc *tc = NULL;
	int r = bh_nft_new(&nft, err);

	if (r == 0)
		r = nft->ops->observe(nft, &t->seen, err);
	if (r == 0)
		r = bh_tc_new(&tc, err);
	return r == 0 ? tc->ops->host(tc, &t->host, err) : r;
}

/* First what the kernel holds, then what it ought to: a daemon that is asked may repair it. Returns the exit code. */
static int learn(struct bh_cli *cli, struct told *t, bool *ret_again)
{
	struct bh_error err = {0};
	struct timespec now;
	json_int_t looked;
	int code, r;

	clock_gettime(CLOCK_REALTIME, &now);
	looked = (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	r = read_kernel(t, &err);
	if (r < 0) {
		bh_cli_error(cli, "%s", err.msg);
		return r == -EPERM ? BH_EXIT_DENIED : 1;
	}
	code = bh_cli_ask(cli, "prove", NULL, ASK_TIMEOUT_MS, &t->doc, false, &err);
	if (code != BH_EXIT_OK)
		return code;
	*ret_again = json_integer_value(json_object_get(t->doc, "loaded_usec")) >= looked;
	r = read_answer(t);
	if (r < 0)
		bh_cli_error(cli, r == -ENOMEM ? "out of memory" : "the daemon's answer cannot be read: use the bulkhead of the same release");
	return r < 0 ? 1 : BH_EXIT_OK;
}

static int prove(const struct told *t, json_t **ret, struct bh_error *err)
{
	_cleanup_(bh_proof_freep) struct bh_proof *proof = NULL;
	_cleanup_(bh_ruleset_freep) struct bh_ruleset *held = NULL, *enforced = NULL;
	_cleanup_(bh_strv_clear) struct bh_strv left_out = {0};
	const struct bh_features features = {.bridge_ibrname = bh_table_set(&t->seen->tables[BH_FAMILY_BRIDGE], "bridges") != NULL};
	struct bh_proof_doc d = {.sources = json_object_get(t->doc, "rules"), .audit = t->policy->mode == BH_MODE_AUDIT, .left_out = &left_out};
	int r = bh_proof_new(t->policy, t->insts, t->networks, t->host, &features, bh_prove_has_ipv6(), &proof, err);

	if (r < 0)
		return r;
	r = bh_proof_rules(proof, t->seen, false, &held, &left_out);
	if (r == 0 && proof->audits)
		r = bh_proof_rules(proof, t->seen, true, &enforced, &left_out);
	if (r < 0)
		return bh_fail(err, r, "out of memory");
	r = bh_prove(proof, held, enforced, err);
	if (r < 0)
		return r;
	d.proof = proof;
	*ret = bh_proof_doc(&d);
	return *ret ? 0 : bh_fail(err, -ENOMEM, "out of memory");
}

int bh_verb_prove(struct bh_cli *cli)
{
	struct told told = {0};
	struct bh_error err = {0};
	json_t *doc = NULL;
	bool again = true;
	int code = BH_EXIT_OK, r;

	if (geteuid() != 0) {
		bh_cli_error(cli, "prove makes network namespaces and sends packets in them, which is for root: run it with sudo");
		return BH_EXIT_DENIED;
	}
	for (int i = 0; i < TRIES && again && code == BH_EXIT_OK; i++) {
		told_clear(&told);
		told = (struct told){0};
		code = learn(cli, &told, &again);
	}
	if (code == BH_EXIT_OK) {
		r = prove(&told, &doc, &err);
		code = r < 0 ? 1 : json_is_true(json_object_get(doc, "agree")) ? BH_EXIT_OK : 1;
		if (r < 0)
			bh_cli_error(cli, "nothing is proven: %s", err.msg);
		else if (bh_writer_put(&cli->writer, doc, bh_proof_text, NULL) < 0)
			code = 1;
	}
	json_decref(doc);
	told_clear(&told);
	return code;
}
