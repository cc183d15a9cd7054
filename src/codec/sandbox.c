/* SPDX-License-Identifier: MIT
 *
 * Enters the sandbox.
 */
#include "codec/sandbox.h"

int spl_sandbox_enter(spl_sandbox_mode mode, const spl_sandbox_budget *budget,
                      bool *ret_without_landlock, spl_error *ret_error) {
    bool landlock = false;
    int status = spl_sandbox_landlock(&landlock, ret_error);
    if (status == 0)
        status = spl_sandbox_limits(mode, budget, ret_error);
    if (status == 0)
        status = spl_sandbox_seccomp(mode, ret_error);
    if (status < 0) /* whatever the system call's error means elsewhere */
        return ret_error->status = SPL_E_HELPER;
    *ret_without_landlock = !landlock;
    return 0;
}
