/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CORE_FIELD_TEXT_H
#define BULKHEAD_CORE_FIELD_TEXT_H

#include <bulkhead/ruleset.h>

/* Fields whose plain comparison means "one of these bits is set" in nft's language. */
bool field_is_flags(enum bh_field f);
/* One value as nft writes it: names where nft has names, numbers elsewhere. V has the field's width. */
void field_print_value(enum bh_field f, const uint8_t *v, struct bh_buf *out);
/* First to last, both included: a prefix or a wildcard where it is one, else FIRST-LAST. */
void field_print_range(enum bh_field f, const uint8_t *first, const uint8_t *last, struct bh_buf *out);
/* An interface, counter or log name: quoted; what could end the quotes or act on a terminal becomes '?'. */
void text_print_quoted(const char *s, size_t max, struct bh_buf *out);

#endif
