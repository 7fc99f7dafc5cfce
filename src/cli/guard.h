/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CLI_GUARD_H
#define BULKHEAD_CLI_GUARD_H

#include <bulkhead/doctor.h>
#include <bulkhead/error.h>

/* Whether bulkhead decides here: its tables are there, and the file's mode is not audit. 0 or -errno. */
int bh_cli_guard(enum bh_doctor_guard *ret, struct bh_error *err);

#endif
