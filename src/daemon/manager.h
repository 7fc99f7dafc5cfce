/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's state and its one loop: inputs only mark dirty, the reconcile looks at everything again (level-triggered).
 * Everything from outside comes in by pointer, so that a test runs the whole daemon on fakes. */
#ifndef BULKHEAD_DAEMON_MANAGER_H
#define BULKHEAD_DAEMON_MANAGER_H

#include "access.h"
#include "detect.h"
#include "events.h"
#include "hand.h"
#include "images.h"
#include "kinds.h"
#include "log.h"
#include "people.h"

#include <bulkhead/config.h>
#include <bulkhead/control.h>
#include <bulkhead/flows.h>
#include <bulkhead/judge.h>
#include <bulkhead/diff.h>
#include <bulkhead/nft.h>
#include <bulkhead/runtime.h>
#include <bulkhead/shift.h>
#include <bulkhead/tc.h>

#include <systemd/sd-event.h>
#include <time.h>

struct bh_manager;

/* One runtime and what it last said. Its containers stay known while it is absent. */
struct bh_source {
	struct bh_manager *manager;
	struct bh_runtime *runtime;
	char *kind, *socket;
	struct bh_inventory *inventory;	/* never NULL */
	enum bh_runtime_state state;
	char *reason;			/* why absent, or what ails it, or NULL */
	struct bh_registries registries;	/* how it reaches them */
	struct bh_addrs resolvers;	/* that it was told to give to containers; most have none */
	bool told;			/* it said anything about its state */
	bool heard;			/* a snapshot came */
	int keeper;			/* who starts what follows it */
	size_t index;			/* among its runtimes */
};

/* What one look at policy, runtimes and host asks the kernel to hold. */
struct bh_round {
	const struct bh_policy *policy;	/* that it was built of: the configuration's, or `made`; NULL: the skeleton */
	struct bh_hand_policy *made;	/* where something was said by hand */
	struct bh_inventory *inventory;
	struct bh_placement *placement;	/* NULL without a policy */
	struct bh_ruleset *wanted;
	struct bh_shape *shape;
	struct bh_judge *judge;		/* made when it is asked for: bh_round_judge() */
	struct bh_holdings holdings;	/* of the placement, when it is lean */
	bool lean;			/* what members are in was stripped of `wanted`: bh_round_fill() */
};

/* What the kernel was last seen to hold; NULL is "look again". */
struct bh_seen {
	struct bh_ruleset *ruleset;	/* bh_seen_ruleset() */
	bool as_wanted;			/* instead of `ruleset`: what the last round wanted, which it was found to hold, or took */
	struct bh_shape *shape;
	struct bh_host *host;
	bool fresh;			/* something of it was read since it was last in line */
};

/* What may have changed since the kernel was last in line. */
struct bh_news {
	bool whole;			/* anything; else only containers, and these: */
	BH_VEC(int) links;		/* ifindexes of veths */
};

/* Where the time of one change goes, in microseconds. */
enum bh_stage {
	BH_STAGE_LOOK,		/* reading what is not known of the kernel */
	BH_STAGE_PLACE,
	BH_STAGE_COMPILE,
	BH_STAGE_COMPARE,
	BH_STAGE_CAPS,
	BH_STAGE_APPLY,		/* from the plan to the kernel's acknowledgement of the transaction */
	BH_STAGE_VERIFY,	/* reading back what is not about elements alone */
	BH_STAGE_MAX,
};

/* work.c: what the last look that changed the kernel's tables took. */
struct bh_work {
	uint64_t told_usec;		/* monotonic: when the first thing was heard that no look has dealt with; 0: nothing */
	uint64_t mark_usec;		/* monotonic: the end of the last stage */
	bool changed;			/* this one changed something */
	uint64_t now[BH_STAGE_MAX];	/* of the one that is under way */
	uint64_t waited_usec;		/* from being told to its begin */
	struct {
		uint64_t waited_usec;
		uint64_t usec[BH_STAGE_MAX];
		struct bh_nft_work nft;
	} last;
	uint64_t changes;		/* since the start */
};
void bh_work_begin(struct bh_manager *m);
void bh_stage_end(struct bh_manager *m, enum bh_stage stage);
void bh_work_end(struct bh_manager *m);
/* For status: null before the first change. NULL for no memory. */
json_t *bh_work_json(const struct bh_manager *m);

struct bh_config_state {
	struct bh_policy *policy;	/* NULL: the skeleton alone */
	char *error;			/* of the last load, or NULL */
	char *reason;			/* why what is in force is not what the file says: degraded; or NULL */
	char *keep_error;		/* the last good configuration could not be kept; or NULL */
	bool keep_due;			/* the policy is to be kept as the last good one when the kernel holds it */
	uint64_t loaded_usec;		/* when the policy was loaded, realtime; 0 never */
	uint64_t refused;		/* loads since the start that changed nothing */
};

/* confirm.c: what is loaded for a time, and goes back by itself unless it is confirmed. */
struct bh_probation {
	bool on;
	struct bh_policy *before;	/* what it goes back to; NULL: the skeleton alone */
	uint64_t end_usec;		/* CLOCK_BOOTTIME */
	sd_event_source *timer;
};
#define BH_CONFIRM_MAX_USEC (24ull * 3600 * 1000000)
#define BH_UNCONFIRMED "it was not confirmed in time, the configuration before is in force: bulkhead reload loads it for good"

/* Which zone was logged for a container. */
struct bh_told {
	char *id, *zone;
	uint64_t failed;		/* bh_failures_sum() */
};
void bh_told_clear(struct bh_told *t, size_t n);
/* told.c: logs who of the round is in another zone than was told. Without memory for that it is told again next time. */
void bh_told_moves(struct bh_manager *m);
/* The same for the N members of the round at PLACES alone. */
void bh_told_few(struct bh_manager *m, const size_t *places, size_t n);

/* What on container bridges no runtime has explained yet. */
struct bh_strange {
	BH_VEC(int) ports;		/* ifindexes of ports that runtimes were asked about, sorted */
	size_t gone;			/* image builds and endpoints that have lost their port */
	unsigned tries;			/* how often was asked since something was new */
	unsigned moves;			/* how often the links were read again for an end that has moved */
	sd_event_source *timer, *moved;
};

/* Running connections that rules would end, by who, to whom and where. */
#define BH_ENDINGS_MAX 1024	/* groups that are kept; the total counts all */
#define BH_ENDINGS_TOLD 8
struct bh_ending {
	char *from, *to;		/* untrusted */
	uint8_t proto;
	uint16_t port;
	size_t count;
};
struct bh_endings {
	BH_VEC(struct bh_ending) v;	/* the largest first */
	size_t total;
};
void bh_endings_clear(struct bh_endings *e);
/* "3 running connections end: web1 -> db1 tcp/5432 (2), web1 -> api1 tcp/80", safe to print; nothing for none. 0 or -ENOMEM. */
int bh_endings_print(const struct bh_endings *e, struct bh_buf *out);

/* A resolver that containers are given, or were when some that still run were started. */
struct bh_resolver {
	struct bh_addr addr;
	bool left;			/* given no more */
	struct bh_strv users;		/* ids of the containers that ran when it left, and still do */
};

/* A command that follows what happens. */
enum bh_followed {
	BH_FOLLOW_DROPS,
	BH_FOLLOW_EVENTS,
};
struct bh_follower {
	struct bh_control_call *call;
	enum bh_followed what;
	uint64_t seq;			/* of the last that it was told */
};

struct bh_manager {
	sd_event *event;
	struct bh_log log;
	struct bh_nft *nft;
	struct bh_tc *tc;
	struct bh_nft_monitor *nft_monitor;	/* NULL in tests */
	struct bh_tc_monitor *tc_monitor;
	struct bh_nflog *nflog;			/* NULL: nobody tells what is denied */
	bool nflog_wanted;			/* tried again while it is NULL */
	struct bh_flows *flows;			/* NULL: conntrack cannot be read */
	struct bh_features features;
	const char *config_path, *state_dir;

	BH_VEC(struct bh_source *) sources;
	struct bh_config_state config;
	struct bh_probation probation;
	struct bh_hand hand;
	char *hand_error;		/* why that is not kept, or NULL */
	sd_event_source *hand_timer;
	sd_event_source *judge_timer;	/* when an image becomes too old */
	struct bh_memory memory;
	struct bh_image_state images;

	struct bh_round round;		/* the last one built */
	struct bh_seen seen;
	struct bh_news news;
	struct bh_work work;
	struct bh_inventory buried;	/* containers that the runtimes have changed or forgotten while the round has them */
	bool deaf;			/* nft_monitor does not listen */
	bool rules_hold;		/* the last look put every rule in place, whatever became of caps */
	bool verified;			/* seen was equal to round when last read */
	bool built;			/* a round was built since the start */
	bool held;			/* what was found in the kernel is kept until a runtime answers */
	bool started;			/* the runtimes' time to answer is over */
	bool ready;
	unsigned polls;
	bool once;			/* ends the loop when in sync */
	unsigned failures;
	char *problem;			/* of the last reconcile, or NULL */
	uint64_t repairs;
	uint64_t since_usec;
	struct bh_strv bridges;		/* that runtimes listed last, in this life or the one before */
	struct bh_strange strange;
	BH_VEC(struct bh_told) told;
	BH_VEC(struct bh_resolver) resolvers;
	BH_VEC(struct bh_control_call *) waiting;	/* reloads that wait for the kernel */
	char *reload_diagnostics;
	struct bh_endings endings;	/* of the last reload */

	struct bh_events *events;	/* m->log writes into it */
	struct bh_kinds *kinds;
	struct bh_people people;
	struct bh_access access;
	struct bh_detect detect;
	bool access_waits;		/* with the access log, and its thread, until what is given up was given up by all of the process */
	bool access_known;		/* a configuration said whether there is one */
	BH_VEC(struct bh_follower) followers;
	uint64_t nflog_lost;		/* of these it was told */
	uint64_t ready_usec;		/* monotonic */
	uint64_t hooked_usec;		/* monotonic: when conntrack began to see what it had not seen; 0: it was seeing all */
	bool found_known;		/* `unenforced` was set */
	bool unenforced;		/* nothing was enforced when this daemon started, and running connections were not looked at yet */

	sd_event_source *dirty, *retry, *poll, *start_timer, *tell, *follow, *nflog_io, *nft_io, *tc_io, *keeper_io, *hup, *term, *interrupt;
	sd_event_source *resolv_watch[3];
	struct bh_control_back *control;
	int keeper;			/* who starts the other processes */
};

struct bh_manager_parts {
	struct bh_log log;
	struct bh_nft *nft;			/* taken over, also on failure */
	struct bh_tc *tc;
	struct bh_nft_monitor *nft_monitor;	/* may be NULL */
	struct bh_tc_monitor *tc_monitor;	/* may be NULL */
	struct bh_nflog *nflog;			/* may be NULL */
	bool nflog_wanted;
	struct bh_flows *flows;			/* may be NULL */
	struct bh_features features;
	const char *config_path, *state_dir;	/* must outlive the manager */
	int keeper;				/* who starts the other processes; stays the caller's */
	bool once;
	bool kept_stale;			/* see bh_kept_open() */
};

int bh_manager_new(sd_event *event, struct bh_manager_parts *parts, struct bh_manager **ret, struct bh_error *err);
void bh_manager_free(struct bh_manager *m);
BH_DEFINE_FREEP(struct bh_manager, bh_manager_free)

/* The real parts: this namespace's netfilter and rtnetlink, with what they can do probed. */
int bh_manager_parts_open(struct bh_manager_parts *parts, struct bh_error *err);

/* SIGHUP reloads; SIGTERM and SIGINT end the loop. The signals must be blocked. */
int bh_manager_add_signals(struct bh_manager *m, struct bh_error *err);

/* A runtime to follow. The source is the runtime's userdata, bh_source_message() its callback; runtime is set by the caller. */
int bh_manager_add_source(struct bh_manager *m, const char *kind, const char *socket, struct bh_source **ret);
void bh_source_message(void *userdata, const struct bh_runtime_msg *msg);
/* No round has what is buried any more. */
void bh_sources_bury(struct bh_manager *m);
/* Followed by a process that KEEPER starts; sockets are added in the order of its options. */
int bh_manager_add_docker(struct bh_manager *m, const char *socket, int keeper, struct bh_error *err);

/* Without the keeper nothing that ends is started again: when it ends the loop does, and whoever started us starts us anew. */
int bh_manager_watch_keeper(struct bh_manager *m, int keeper, struct bh_error *err);

/* The control socket at PATH, read by a process that the keeper starts. */
int bh_manager_listen(struct bh_manager *m, const char *path, struct bh_error *err);

/* Starts every runtime and the timers. */
int bh_manager_start(struct bh_manager *m, struct bh_error *err);

/* Marks everything for another look in this turn of the loop. */
void bh_manager_dirty(struct bh_manager *m);
/* The same where nothing but containers has changed. */
void bh_manager_containers_changed(struct bh_manager *m);
/* What was seen of links, addresses and resolvers is old: the same, with a fresh look at them. */
void bh_manager_host_changed(struct bh_manager *m);
/* The same for the N ifindexes at LINKS alone, and all addresses with ADDRS: only they are read, and where nothing has changed nothing follows. */
void bh_manager_links_changed(struct bh_manager *m, const int *links, size_t n, bool addrs);

/* What CLOCK (clock_gettime(2)) shows, in microseconds. */
static inline uint64_t bh_now_usec(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The whole look, now: whatever may have changed. Once before the loop, so that the kernel is closed before a runtime is asked. */
void bh_manager_run(struct bh_manager *m);
/* The look that is due, by what was marked. Called by the loop. */
void bh_manager_run_due(struct bh_manager *m);

/* Whether any runtime has given a snapshot. */
bool bh_manager_heard(const struct bh_manager *m);
/* Whether every runtime has either given a snapshot or is known to be absent. */
bool bh_manager_settled(const struct bh_manager *m);
/* "starting", "enforcing", "auditing" or "degraded"; *RET_REASON (may be NULL) is why, a new string the caller frees, or NULL. */
const char *bh_manager_state(const struct bh_manager *m, char **ret_reason);

/* policy.c: at start: the file, or else the last good one, or else none. Never fails for a bad file. -ENOMEM. */
int bh_manager_load_first(struct bh_manager *m);
/* Loads the file and makes it the policy, until it is confirmed and USEC long at most where that is not 0; or changes nothing:
 * *RET_DIAGNOSTICS is what there is to say (may stay NULL). 0, or -EINVAL and the like with config.error set. */
int bh_manager_reload(struct bh_manager *m, uint64_t usec, char **ret_diagnostics);
/* BEFORE (taken over; NULL: the skeleton) is in force again. The kernel gets it with the next look. */
void bh_manager_go_back(struct bh_manager *m, struct bh_policy *before);
/* confirm.c: before POLICY is taken, for USEC (0: for good, unless something waits to be confirmed): whether going back would work, also after a
 * crash. 0; -errno with ERR, and nothing has changed. */
int bh_probation_prepare(struct bh_manager *m, const struct bh_policy *policy, uint64_t usec, struct bh_error *err);
/* POLICY was taken; OLD (taken over) was in force before. Whether what is in force waits to be confirmed. */
bool bh_probation_take(struct bh_manager *m, uint64_t usec, struct bh_policy *old);
void bh_probation_end(struct bh_manager *m);
/* Seconds left, rounded up; 0: nothing waits. */
uint64_t bh_probation_left(const struct bh_manager *m);
void bh_handle_confirm(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
/* What the last round was built of, or will be: the configuration with what was said by hand; NULL: the skeleton. */
static inline const struct bh_policy *bh_policy_in_force(const struct bh_manager *m)
{
	return m->round.policy ? m->round.policy : m->config.policy;
}
/* hand.c: what was said by hand before, at start. What cannot be read is a lockdown. 0 or -ENOMEM. */
int bh_hand_load(struct bh_manager *m);
int bh_hand_on_time(sd_event_source *source, uint64_t usec, void *userdata);
/* A rule of detect, BY, closes the container ID for USEC. It takes effect with bh_hand_changed(). 0; -EALREADY: it is in quarantine; -ENOSPC: so many
 * are; -ENOMEM. */
int bh_hand_quarantine(struct bh_manager *m, const char *id, const char *name, uint64_t usec, const char *by);
void bh_hand_changed(struct bh_manager *m);	/* takes effect now, and is kept */
json_t *bh_hand_json(const struct bh_manager *m);	/* for status; NULL for no memory */
void bh_handle_quarantine(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
void bh_handle_release(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
void bh_handle_allow(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
void bh_handle_lockdown(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
void bh_handle_unlock(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
/* The kernel holds the policy: it is the last good one from now on. */
void bh_manager_keep(struct bh_manager *m);

/* bridges.c: the bridges of the last life, at start. */
void bh_bridges_load(struct bh_manager *m);
/* Until every runtime has told what it has, its bridges of before are still its: added to INVENTORY as networks without anybody.
 * 0 or -ENOMEM. */
int bh_bridges_add(const struct bh_manager *m, struct bh_inventory *inventory);
/* When every runtime has told: what it has is remembered. A file that cannot be written is told, once for each change. */
void bh_bridges_keep(struct bh_manager *m);

/* strange.c: asks the runtimes about bridges where a port is that no endpoint explains: an image build, which no event tells of, or a
 * container whose event is late or lost; and where a build has lost its port. Again after 10 ms, 20 ms, … until it is explained, ten
 * times. After each look that left the kernel in line. 0 or -ENOMEM. */
int bh_strange_look(struct bh_manager *m);
void bh_strange_clear(struct bh_strange *s);

/* reconcile.c: one look: observe, build, apply, verify. 0 in sync, or held; -errno: look again, later. */
int bh_reconcile(struct bh_manager *m, struct bh_error *err);
/* Whether no container can be there: no bridge has a port of their kind. So it is on a host that boots, where waiting for a runtime
 * would be waiting for who waits for us: systemd may hold Docker's socket while docker.service is ordered after us. */
bool bh_nobody_there(const struct bh_host *host);
/* Looks at what is not known of kernel and host. 0 or -errno. */
int bh_look(struct bh_manager *m, struct bh_error *err);
/* Builds what POLICY (NULL: the skeleton) wants now, from what was seen. */
int bh_round_build(struct bh_manager *m, const struct bh_policy *policy, struct bh_round *ret, struct bh_error *err);
/* The same for a policy that is only looked at: numbers and ports that it would take are not remembered. Beyond MOST elements of rules
 * (0: no bound) -E2BIG. */
int bh_round_try(struct bh_manager *m, const struct bh_policy *policy, size_t most, struct bh_round *ret, struct bh_error *err);
void bh_round_clear(struct bh_round *r);
/* Puts back what was stripped of the last round, for who wants it whole. 0 or -ENOMEM. */
int bh_round_fill(struct bh_manager *m);
/* shift.c: the last round, in line, becomes one that can be moved on, and holds nothing that follows from the rest of it. */
void bh_round_make_lean(struct bh_manager *m);
/* Moves the last round on by what containers and veths are new, and the kernel with it. 0 done; 1 not possible, or not simple: all is made
 * from scratch; -errno, with nothing known of the kernel and maybe without a round. */
int bh_round_shift(struct bh_manager *m, struct bh_error *err);
/* reconcile.c: one plan about members' elements into the kernel. 0 or -errno. */
int bh_round_apply(struct bh_manager *m, struct bh_plan *plan, struct bh_error *err);
void bh_seen_clear(struct bh_seen *s);
/* The tables' part of what was seen, NULL when it is not known. Dies with the round. */
const struct bh_ruleset *bh_seen_ruleset(const struct bh_manager *m);
void bh_seen_forget_ruleset(struct bh_seen *s);
void bh_seen_forget_host(struct bh_seen *s);
/* Whether a bridge shows a flag off that the kernel's memory says we switched on, as far as the host was looked at. */
bool bh_flags_undone(const struct bh_manager *m);

/* The judge of ROUND. 0, -ENOENT without a policy or the kernel, or -ENOMEM. */
int bh_judge_of(struct bh_manager *m, const struct bh_round *round, struct bh_judge **ret);
/* The judge of the last round; NULL while there is none, or no memory for it. */
const struct bh_judge *bh_round_judge(struct bh_manager *m);

/* connections.c: what would end if AFTER were enforced after BEFORE; conntrack is only read. 0, -EOPNOTSUPP where it cannot be read, or another
 * -errno. */
int bh_connections_ending(struct bh_manager *m, const struct bh_judge *before, const struct bh_judge *after, struct bh_endings *ret,
	struct bh_error *err);
/* Whether anything is dropped under P. */
bool bh_policy_enforces(const struct bh_policy *p);

/* What ends when AFTER is enforced after BEFORE (NULL: nothing). Connections that conntrack has the wrong way round are put right, so that
 * what policy allows goes on. 0 or -errno. */
int bh_connections_prepare(struct bh_manager *m, const struct bh_judge *before, const struct bh_judge *after, struct bh_endings *ret,
	struct bh_error *err);

/* The same before POLICY takes the place of the one in force: into m->endings, and logged. TRIAL is what it was compiled to, empty when
 * the kernel could not be looked at. */
void bh_connections_reload(struct bh_manager *m, struct bh_round *trial);
/* Notes whether the kernel enforced anything before this daemon's first change. */
void bh_connections_found(struct bh_manager *m);
/* conntrack sees a bridge from now on that it did not see. */
void bh_connections_hooked(struct bh_manager *m);
/* Once it is known who runs: what the first enforcement on this host ends is logged, before the rules come. */
void bh_connections_first(struct bh_manager *m);

/* denials.c: follows what is denied. 0 or -errno. */
int bh_denials_start(struct bh_manager *m);
/* Takes in what the kernel has told and the loop has not come to yet, as far as it is bounded: an answer speaks of what was denied just before. */
void bh_denials_now(struct bh_manager *m);

/* drops.c: the texts of a kind: "tcp", "arp"; "5432", "many" or NULL. ETHER_TYPE: of what is no IP, 0 unknown. */
#define BH_DROP_TEXT 32
const char *bh_drop_proto(uint8_t proto, uint16_t ether_type, char buf[BH_DROP_TEXT]);
const char *bh_drop_port(const struct bh_kind *k, char buf[BH_DROP_TEXT]);
/* One kind as a document; NULL for no memory. */
json_t *bh_drop_json(const struct bh_kind *k);
/* The kinds that were seen last, MAX at most; NULL for no memory. */
json_t *bh_drops_list(struct bh_manager *m, size_t max);
void bh_handle_drops(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
/* The kinds after *SEQ, MAX at most, told to CALL; *SEQ moves on. 0; -errno: the call is over. */
int bh_drops_follow(struct bh_manager *m, struct bh_control_call *call, uint64_t *seq, size_t max);

/* why.c, suggest.c */
void bh_handle_why(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
void bh_handle_suggest(struct bh_manager *m, struct bh_control_call *call, const json_t *request);

/* events_told.c: the same for events. One as a document; NULL for no memory. */
json_t *bh_event_json(const struct bh_event *x);
void bh_handle_events(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
int bh_events_follow(struct bh_manager *m, struct bh_control_call *call, uint64_t *seq, size_t max);

/* follow.c: the call is told of what happens from now on. It is over, or goes on; never the caller's any more. */
void bh_follow(struct bh_manager *m, struct bh_control_call *call, enum bh_followed what);
/* Something has happened: whoever follows is told of it soon, in one go with what happens until then. */
void bh_follow_wake(struct bh_manager *m);
/* Forgets all, when the server has gone. */
void bh_follow_clear(struct bh_manager *m);

/* ids.c: sets in MEMORY the numbers by which SEEN knows the zones of P, which was placed with MEMORY. *RET_CHANGED: P is to be placed
 * again. 0 or -ENOMEM. */
int bh_ids_recover(struct bh_memory *memory, const struct bh_placement *p, const struct bh_ruleset *seen, bool *ret_changed);

/* features.c: the test switch. Takes the features that NAMES (of struct bh_features, with commas; NULL: none) lists out of F, as if the
 * kernel had none of them. -EINVAL for a name that does not exist. */
#define BH_MASK_VARIABLE "BULKHEAD_TEST_MASK"
/* Looks (again) for what may come and go while we run: br_netfilter. */
void bh_features_look(struct bh_features *f);
int bh_features_mask(struct bh_features *f, const char *names, struct bh_error *err);

/* owner.c: makes us the owner of the tables in m->seen that persist and have none, where the kernel can. *RET_TAKEN: it did, look again. */
int bh_owner_take(struct bh_manager *m, bool *ret_taken, struct bh_error *err);
/* -EPERM when a table belongs to another socket than ours. */
int bh_owner_check(const struct bh_ruleset *seen, struct bh_error *err);
/* Whether there are tables and all of them are owned by us. */
bool bh_owner_holds(const struct bh_ruleset *seen);

/* status.c: the document of SPEC section 4, the kernel read afresh. */
int bh_status_build(struct bh_manager *m, json_t **ret, struct bh_error *err);

/* given.c: the policy that a request brings with it as texts, read by the client: no file is opened. 1 with *RET; 0 when it brings none;
 * -EINVAL with ERR for one that is not valid, -EBADMSG for what is no list of texts, -ENOMEM. *RET_DIAGNOSTICS (may stay NULL) is what there
 * is to say, safe to print; the caller frees it. Places in it and in the policy are by the client's names. Expectations are not judged. */
#define BH_GIVEN_ELEMENTS_MAX 262144u	/* of its rules: it must not take more memory than the one that root loads, some 50 MB at most */
int bh_given_policy(const json_t *request, struct bh_policy **ret, char **ret_diagnostics, struct bh_error *err);

/* json.c: RFC 3339 in UTC, null for 0; what ends, by whom and where, the largest first. NULL for no memory. */
json_t *bh_json_time(uint64_t usec);
json_t *bh_json_endings(const struct bh_endings *e);

/* hardening.c: what of `require` a member fails: a sum that tells whether it is the same, 0 for nothing; one line of the log each; as a document. */
uint64_t bh_failures_sum(const struct bh_member *m);
void bh_failures_log(const struct bh_manager *m, const struct bh_member *member, const struct bh_zone_inst *zone);
json_t *bh_posture_json(const struct bh_member *m);
/* Whether a zone requires something, and of somebody who runs nothing is known: he would be moved for not being known. */
bool bh_postures_missing(const struct bh_manager *m);
/* A round from scratch is made when time alone may place somebody otherwise. */
void bh_judge_later(struct bh_manager *m);

/* plan.c: what a reload would change, of the daemon's own file or of one that the request brings. Changes nothing. */
void bh_handle_plan(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
/* explain.c: what becomes of one connection, and why. Changes nothing. -ENOENT, -EINVAL: the question was wrong, ERR says how; or another -errno. */
int bh_explain(struct bh_manager *m, const json_t *request, json_t **ret, struct bh_error *err);
void bh_handle_explain(struct bh_manager *m, struct bh_control_call *call, const json_t *request);
/* proof.c: what `bulkhead prove` asks for: the policy as YAML, where its rules stand, zones with their numbers, networks, resolvers. */
void bh_handle_prove(struct bh_manager *m, struct bh_control_call *call, const json_t *request);

/* handlers.c */
void bh_handle_call(void *userdata, struct bh_control_call *call, const char *verb, const json_t *request,
	enum bh_control_right right);
/* Answers the reloads that wait, when the kernel holds the policy or will not for now. */
void bh_handle_waiting(struct bh_manager *m, int r);

/* resolvers.c: adds the resolvers to m->seen.host, and watches the files that say which. 0 or -ENOMEM. */
int bh_resolvers_add(struct bh_manager *m);
/* Whether they are not what they were when they were added, as far as that can be read; watches the files that could not be. */
bool bh_resolvers_moved(struct bh_manager *m);
/* Whether one is there only for containers that were started with it, and goes with them: m->seen.host is old as soon as they do. */
bool bh_resolvers_linger(const struct bh_manager *m);
/* The host's as Docker reads them: PATH's (resolv.conf(5)); RESOLVED_PATH's where PATH has systemd-resolved's stub alone; never loopback;
 * Docker's own when none is left. 0 or -errno; the caller clears ret->v. */
int bh_resolvers_read(const char *path, const char *resolved_path, struct bh_addrs *ret);
/* NOW is given from now on; what was given before stays as long as a container runs that may have it. 0 or -ENOMEM. */
int bh_resolvers_follow(struct bh_manager *m, const struct bh_addrs *now);
void bh_resolvers_clear(struct bh_manager *m);

/* teardown.c: everything of ours out of the kernel and the socket away. 0 or the first error, having tried everything. */
int bh_teardown(const char *socket, struct bh_error *err);
int bh_teardown_kernel(struct bh_nft *nft, struct bh_tc *tc, struct bh_error *err);

#endif
