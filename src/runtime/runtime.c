/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/runtime.h>

const char *bh_runtime_state_name(enum bh_runtime_state s)
{
	switch (s) {
	case BH_RUNTIME_ABSENT:
		return "absent";
	case BH_RUNTIME_CONNECTING:
		return "connecting";
	case BH_RUNTIME_CONNECTED:
		return "connected";
	}
	return "?";
}

void bh_runtime_free(struct bh_runtime *r)
{
	if (r)
		r->ops->free(r);
}
