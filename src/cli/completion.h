/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BULKHEAD_CLI_COMPLETION_H
#define BULKHEAD_CLI_COMPLETION_H

#include "verb.h"

#include <getopt.h>

/* Prints to OUT what SHELL (bash, zsh, fish) sources to complete the N verbs and their options, of which those below BH_OPTION_MAX belong to
 * the verbs that take them (getopt_long(3); ends with a zeroed one). 0, or -1 for another shell. */
int bh_completion_print(FILE *out, const char *shell, const struct bh_verb *verbs, size_t n, const struct option *options);

#endif
