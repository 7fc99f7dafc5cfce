/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of the kernel's messages: whatever bytes come, it reads only these, and leaks nothing. */
#include "nft_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy = malloc(size ? size : 1);	/* aligned, and with an end that is watched */

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	nft_messages(copy, size);
	free(copy);
	return 0;
}
