/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a policy as YAML that src/config reads back to the same: for whoever prints a configuration or a line of one. */
#ifndef BULKHEAD_YAML_H
#define BULKHEAD_YAML_H

#include <bulkhead/buf.h>
#include <bulkhead/policy.h>

/* Appends a scalar, in quotes where it needs them; safe for a terminal. TEXT is valid UTF-8. */
void bh_yaml_put_text(struct bh_buf *out, const char *text);

/* Appends "NAME: web", or "NAME: [web, api]" for several. */
void bh_yaml_put_refs(struct bh_buf *out, const char *name, const struct bh_zone_ref *v, size_t n);

/* Appends "  - {from: web, to: db, ports: [tcp/5432]}\n": one entry of `allow` (or, IS_EXPECT, of `expect`). */
void bh_yaml_put_rule(struct bh_buf *out, const struct bh_rule *rule, bool is_expect);

#endif
