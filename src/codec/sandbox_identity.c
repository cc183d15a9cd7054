/* SPDX-License-Identifier: MIT
 *
 * The helper's user and capabilities. In a container, the user "nobody" may be missing or root may
 * be unable to change its user; the helper then keeps its user, but drops all capabilities.
 */
#include "codec/sandbox.h"

#include "app/audio/codec_protocol.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define NOBODY 65534

static void become_nobody(void) {
    if (geteuid() != 0 || setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return;
}

/* systemd's filters deny capset to services without capabilities, so it is called only if there are
 * any to drop. */
static int drop_capabilities(spl_error *ret_error) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, has) == 0 && memcmp(has, none, sizeof(none)) == 0)
        return 0;
    if (syscall(SYS_capset, &header, none) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: capabilities");
    return 0;
}

int spl_sandbox_identity(spl_error *ret_error) {
    become_nobody();
    int status = drop_capabilities(ret_error);
    if (status < 0)
        return status;
    /* Changing the user resets this attribute, so it is set afterwards. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return spl_fail_errno(ret_error, errno, "sandbox: prctl");
    struct pollfd socket = {.fd = SPL_HELPER_CHANNEL_FD};
    if (poll(&socket, 1, 0) > 0 && socket.revents & POLLHUP)
        return spl_fail(ret_error, SPL_E_HELPER, "the program has ended");
    return 0;
}
