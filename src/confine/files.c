/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock, Documentation/userspace-api/landlock.rst. The C library has no functions for it; the rights that the kernel's header does not know are
 * by number, and asked for only where the kernel has them. */
#include <bulkhead/confine.h>
#include <bulkhead/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFER (1ULL << 13)	/* ABI 2, Linux 5.19 */
#define TRUNCATE (1ULL << 14)	/* ABI 3, Linux 6.2 */

#define WRITING                                                                                    \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |    \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Without OPTIONAL a folder that is there has to be had. */
static int allow(int ruleset, const char *path, uint64_t access, bool optional)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr a = {.allowed_access = access, .parent_fd = fd};

	if (fd < 0)
		return optional || errno == ENOENT ? 0 : -errno;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0) < 0 ? -errno : 0;
}

int bh_confine_files(const char *const *writable, const char *const *readable, struct bh_error *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t writing = WRITING | (abi >= 2 ? REFER : 0) | (abi >= 3 ? TRUNCATE : 0);
	struct landlock_ruleset_attr a = {.handled_access_fs = writing | LANDLOCK_ACCESS_FS_EXECUTE | (readable ? READING : 0)};
	_cleanup_close_ int ruleset = -1;

	if (abi < 1)
		return 1;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a.handled_access_fs), 0);
	if (ruleset < 0)
		return bh_fail(err, -errno, "Landlock: %s", strerror(errno));
	for (; writable && *writable; writable++) {
		int r = allow(ruleset, *writable, writing, false);

		if (r < 0)
			return bh_fail(err, r, "Landlock: %s: %s", *writable, strerror(-r));
	}
	for (; readable && *readable; readable++) {
		int r = allow(ruleset, *readable, READING, true);

		if (r < 0)
			return bh_fail(err, r, "Landlock: %s: %s", *readable, strerror(-r));
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return bh_fail(err, -errno, "Landlock: %s", strerror(errno));
	return 0;
}
