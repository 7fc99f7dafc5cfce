/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator asked for: zones, selectors, rules, caps. Plain structs, one tree, one free. No I/O. */
#ifndef BULKHEAD_POLICY_H
#define BULKHEAD_POLICY_H

#include <bulkhead/addr.h>
#include <bulkhead/checks.h>
#include <bulkhead/error.h>
#include <bulkhead/mem.h>
#include <bulkhead/require.h>

#define BH_ZONE_NAME_MAX 31
#define BH_PRIORITY_NONE INT32_MIN

enum bh_mode {
	BH_MODE_INHERIT,	/* only in a zone: as the file says */
	BH_MODE_ENFORCE,
	BH_MODE_AUDIT,
};

enum bh_deny {
	BH_DENY_REJECT,
	BH_DENY_DROP,
};

enum bh_zone_kind {
	BH_ZONE_CONTAINERS,	/* has select or per */
	BH_ZONE_ADDRESSES,	/* has cidrs */
	BH_ZONE_INTERFACES,	/* has interfaces */
	BH_ZONE_BUILTIN,	/* one of enum bh_builtin; only `metadata` may be configured */
};

/* The built-in zones of SPEC section 1. The order is the order of status. */
enum bh_builtin {
	BH_BUILTIN_NONE,
	BH_BUILTIN_HOST,
	BH_BUILTIN_LAN,
	BH_BUILTIN_CONTAINERS,
	BH_BUILTIN_INTERNET,
	BH_BUILTIN_WORLD,
	BH_BUILTIN_METADATA,
	BH_BUILTIN_DNS,
	BH_BUILTIN_BUILD,
	BH_BUILTIN_QUARANTINE,
	BH_BUILTIN_ANY,
	BH_BUILTIN_MAX,
};

const char *bh_builtin_name(enum bh_builtin b);			/* "host", …; NULL for NONE */
enum bh_builtin bh_builtin_from_name(const char *name);		/* NONE when it is none */

enum bh_select_key {
	BH_SELECT_LABEL,	/* given when the container was created */
	BH_SELECT_IMAGE_LABEL,
	BH_SELECT_NAME,
	BH_SELECT_IMAGE,
	BH_SELECT_NETWORK,
	BH_SELECT_COMPOSE,	/* PROJECT or PROJECT/SERVICE */
	BH_SELECT_RUNTIME,
	BH_SELECT_KIND,
};

struct bh_selector;

/* One key of a selector: met when one of the patterns matches. */
struct bh_select_match {
	enum bh_select_key key;
	char *label;			/* the label's key, for the two label kinds */
	struct bh_strv patterns;	/* globs, at least one */
	struct bh_loc loc;
};

/* Met when every match, one of `any` (if there are any) and not `not` are met. */
struct bh_selector {
	BH_VEC(struct bh_select_match) matches;
	BH_VEC(struct bh_selector *) any;
	struct bh_selector *not;
	struct bh_loc loc;
};

enum bh_per {
	BH_PER_NONE,
	BH_PER_COMPOSE,
	BH_PER_NETWORK,
	BH_PER_LABEL,
};

enum bh_direction {
	BH_EGRESS,
	BH_INGRESS,
	BH_DIRECTION_MAX,
};

const char *bh_direction_name(enum bh_direction d);	/* "egress", "ingress" */

/* bit/s; 0 means none. Seen from the container: egress leaves it. */
struct bh_rates {
	uint64_t egress_bps;
	uint64_t ingress_bps;
};

/* A rate as a file writes it: "50mbit", "1500bit". Returns BUF. */
#define BH_BANDWIDTH_TEXT 32
const char *bh_bandwidth_text(uint64_t bps, char buf[BH_BANDWIDTH_TEXT]);

static inline uint64_t bh_rate(const struct bh_rates *r, enum bh_direction d)
{
	return d == BH_EGRESS ? r->egress_bps : r->ingress_bps;
}

/* A zone as a rule or a list names it. */
struct bh_zone_ref {
	char *name;
	char *value;			/* of ZONE:VALUE, or NULL */
	int zone;			/* index into policy->zones, -1 for a built-in that is not configured */
	enum bh_builtin builtin;	/* NONE for a zone of the file */
	struct bh_loc loc;
};

struct bh_zone {
	char *name;
	char *description;		/* or NULL */
	enum bh_zone_kind kind;
	enum bh_builtin builtin;	/* for BH_ZONE_BUILTIN */
	struct bh_selector *select;	/* NULL: everything (a family), or not a zone of containers */
	enum bh_per per;
	char *per_label;		/* for BH_PER_LABEL */
	bool has_priority;
	int32_t priority;		/* effective: 0, or -1 for a family, unless given */
	enum bh_mode mode;
	struct bh_rates container_rates;
	struct bh_rates zone_rates;
	struct bh_rates container_guarantees;	/* each at most its cap, which is there */
	struct bh_rates zone_guarantees;
	BH_VEC(struct bh_zone_ref) exempt;	/* each once, without values: whose addresses no cap counts */
	uint64_t conn_max;		/* 0: no limit */
	uint64_t conn_new;		/* 0: no limit */
	bool conn_new_per_minute;
	BH_VEC(struct bh_prefix) forwards;
	BH_VEC(struct bh_prefix) cidrs;
	struct bh_strv interfaces;	/* names, a `*` at the end */
	struct bh_require *require;	/* of its members, besides the file's; NULL: nothing */
	struct bh_loc loc;		/* of the name */
};

/* What nobody routes for (RFC 6890), and so no member forwards; ends with a NULL prefix. */
struct bh_unforwardable {
	const char *prefix, *what;
};
extern const struct bh_unforwardable bh_unforwardable[];

/* What may be opened. icmp stands for ICMP and ICMPv6 and is kept as IPPROTO_ICMP. */
struct bh_port {
	uint8_t proto;			/* IPPROTO_* */
	bool all;			/* the protocol alone */
	uint16_t first, last;		/* inclusive, when !all */
	struct bh_loc loc;
};

enum bh_values {
	BH_VALUES_EQUAL,		/* the default, joins families with the same per */
	BH_VALUES_DIFFERENT,
	BH_VALUES_ANY,
};

/* A rule of `allow`, or an expectation. ports empty: everything. */
struct bh_rule {
	BH_VEC(struct bh_zone_ref) from;
	BH_VEC(struct bh_zone_ref) to;
	BH_VEC(struct bh_port) ports;
	enum bh_values values;
	bool has_values;
	bool expect_accept;		/* expectations only */
	uint64_t for_ms;		/* opened by hand: how long still, the kernel counts; 0: for good */
	struct bh_loc loc;
};

/* What the access log may hold: words of the daemon's events. */
enum bh_log_word {
	BH_LOG_PLACED,
	BH_LOG_DENIED,
	BH_LOG_CONTROL,
	BH_LOG_DETECT,
	BH_LOG_HAND,
	BH_LOG_CONFIG,
	BH_LOG_REPAIR,
	BH_LOG_CONNECTIONS,
	BH_LOG_RUNTIME,
	BH_LOG_START,
	BH_LOG_STOP,
	BH_LOG_DEGRADED,
	BH_LOG_WORDS,
};
extern const char *const bh_log_words[BH_LOG_WORDS];	/* "placed", … */
#define BH_LOG_ALL ((1u << BH_LOG_WORDS) - 1)

/* `log`: off without a file. */
struct bh_access_config {
	char *file;			/* absolute; or NULL */
	uint64_t size;			/* bytes of one file */
	unsigned keep;			/* how many older ones stay */
	unsigned what;			/* bits of enum bh_log_word */
};

/* What a rule of `detect` looks at. */
enum bh_sees {
	BH_SEES_DENIED,
	BH_SEES_CONNECTIONS,	/* that were allowed */
	BH_SEES_FIRST_CONTACT,
	BH_SEES_SATURATED,
	BH_SEES_EXEC,
	BH_SEES_POSTURE,
	BH_SEES_EGRESS,		/* bytes to the world */
	BH_SEES_MAX,
};
extern const char *const bh_sees_words[BH_SEES_MAX];	/* "denied", … */

/* What of denied connections is counted, each once. */
enum bh_distinct {
	BH_DISTINCT_NONE,	/* packets, all */
	BH_DISTINCT_PORTS,	/* of an address */
	BH_DISTINCT_ADDRESSES,
	BH_DISTINCT_CONTAINERS,
	BH_DISTINCT_ZONES,
	BH_DISTINCT_MAX,
};
extern const char *const bh_distinct_words[BH_DISTINCT_MAX];	/* "packets", … */
#define BH_DISTINCT_MOST 1000u	/* that a threshold may ask for */

/* A rule of `detect`. */
struct bh_detect_rule {
	char *name;
	enum bh_sees sees;
	enum bh_distinct distinct;
	uint64_t more_than;		/* so many, or bytes, or per cent of a cap */
	uint64_t within_usec;		/* 0: no window */
	uint64_t learn_usec;		/* first contacts: how long they are only learned */
	struct bh_strv except;		/* commands of execs that are none: globs */
	BH_VEC(struct bh_zone_ref) zones;	/* of the container; none: all */
	bool alert;
	uint64_t quarantine_usec;	/* 0: no */
	bool audit;			/* quarantine is only told of */
	struct bh_loc loc;
};

struct bh_policy {
	enum bh_mode mode;
	enum bh_deny deny;
	struct bh_require *require;	/* of the members of every zone of containers in the file; NULL: nothing */
	struct bh_rates host_rates;	/* of all containers with caps together */
	char *reports;			/* the folder of scanners' reports, or NULL */
	char *verified;			/* the folder of verifications' results, or NULL */
	BH_VEC(struct bh_zone) zones;	/* in the order of the files */
	BH_VEC(struct bh_rule) allow;
	BH_VEC(struct bh_rule) expect;
	struct bh_access_config log;
	struct bh_doctor_policy doctor;
	BH_VEC(struct bh_detect_rule) detect;
	char *alerts;			/* a unix socket that alerts are sent to; or NULL: the journal */
	unsigned retimed;		/* how often a rule for a time got another one: an element keeps the time that it was made with, so that
					 * another time is another set */
	struct bh_strv files;		/* paths relative to the main file's folder; bh_loc.file points here */
};

/* Whether the limits of Z on connections are in force: a whole file in audit suspends them. */
static inline bool bh_zone_is_limited(const struct bh_policy *p, const struct bh_zone *z)
{
	return p->mode != BH_MODE_AUDIT && (z->conn_max || z->conn_new);
}

/* Whether Z has a cap, of its own or on each container. */
bool bh_zone_has_cap(const struct bh_zone *z);

void bh_zone_ref_clear(struct bh_zone_ref *ref);
void bh_selector_free(struct bh_selector *s);
void bh_policy_free(struct bh_policy *p);
BH_DEFINE_FREEP(struct bh_selector, bh_selector_free)
BH_DEFINE_FREEP(struct bh_policy, bh_policy_free)

/* The index of the zone of that name, or -1. */
int bh_policy_find_zone(const struct bh_policy *p, const char *name);

/* "tcp/80", "udp/5000-5009", "esp", "icmp", "ip/99". 0, or -EINVAL. */
int bh_port_parse(const char *s, struct bh_port *ret);
#define BH_PORT_TEXT 24
const char *bh_port_text(const struct bh_port *p, char buf[BH_PORT_TEXT]);

#endif
