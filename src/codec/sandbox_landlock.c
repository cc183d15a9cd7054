/* SPDX-License-Identifier: MIT
 *
 * Landlock: a rule set that handles all of the kernel's access rights up to version 6 and grants
 * none. Descriptors that are already open stay usable. The rights are kernel ABI and are spelled
 * out here because a distribution's headers may be older than the running kernel.
 */
#include "codec/sandbox.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct ruleset {
    uint64_t file_rights; /* bit mask */
    uint64_t net_rights;  /* since version 4: bind and connect TCP */
    uint64_t scopes; /* since version 6: abstract Unix sockets and signals outside the domain */
};

int spl_sandbox_landlock(bool *ret_enforced, spl_error *ret_error) {
    const unsigned version_flag = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, version_flag);
    if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
        *ret_enforced = false;
        return 0;
    }
    if (version < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: Landlock");

    struct ruleset rules = {.file_rights = (1u << 13) - 1};
    if (version >= 2)
        rules.file_rights |= 1u << 13; /* linking and renaming across folders */
    if (version >= 3)
        rules.file_rights |= 1u << 14; /* truncating */
    if (version >= 5)
        rules.file_rights |= 1u << 15; /* ioctl on devices */
    if (version >= 4)
        rules.net_rights = 3;
    if (version >= 6)
        rules.scopes = 3;
    const size_t size = version >= 6   ? sizeof(rules)
                        : version >= 4 ? offsetof(struct ruleset, scopes)
                                       : offsetof(struct ruleset, net_rights);

    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: Landlock rules");
    long failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!failed)
        failed = syscall(SYS_landlock_restrict_self, fd, 0);
    int restrict_errno = errno;
    close(fd);
    if (failed)
        return spl_fail_errno(ret_error, restrict_errno, "sandbox: Landlock");
    *ret_enforced = true;
    return 0;
}
