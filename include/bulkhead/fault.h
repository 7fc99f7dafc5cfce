/* SPDX-License-Identifier: Apache-2.0 */
/* Named places between two steps, at which a test kills the process. They exist only in a build with -Dfaults=true. */
#ifndef BULKHEAD_FAULT_H
#define BULKHEAD_FAULT_H

#ifdef BULKHEAD_FAULTS
/* BULKHEAD_FAULT=POINT:N in the environment: SIGKILL to itself (kill(2)) when it passes POINT for the N-th time, from 1.
 * BULKHEAD_FAULT_TRACE=FILE: the name of every point that is passed is appended, a line each. */
void bh_fault_point(const char *point);
#define BH_FAULT(point) bh_fault_point(point)
#else
#define BH_FAULT(point) ((void)0)
#endif

#endif
