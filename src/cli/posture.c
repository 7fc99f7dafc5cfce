/* SPDX-License-Identifier: Apache-2.0 */
/* What a container fails of what its zone requires, in words. */
#include "verb.h"

#include <string.h>

void bh_text_failed(struct bh_writer *w, const char *label, const json_t *posture)
{
	size_t i;
	json_t *f;

	json_array_foreach(json_object_get(posture, "failed"), i, f) {
		const char *sharer = bh_doc_text(f, "container"), *docker = bh_doc_text(f, "docker"), *compose = bh_doc_text(f, "compose");

		bh_text_fact(w, label, BH_WARN, "%s (%s): %s%s%s", bh_doc_text(f, "condition"), bh_doc_text(f, "source"), sharer,
			*sharer ? " shares its network: " : "", bh_doc_text(f, "found"));
		if (*docker)
			bh_text_fact(w, "", BH_PLAIN, *compose ? "docker run: %s" : "to do: %s", docker);
		if (*compose)
			bh_text_fact(w, "", BH_PLAIN, "compose: %s", compose);
	}
}
