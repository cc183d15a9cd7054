/* SPDX-License-Identifier: MIT
 *
 * Starts the codec helper with posix_spawn: descriptors 0 to 2 on /dev/null,
 * the socket and the media file on the two numbers of the protocol, default
 * signals, a process group of its own (so that Ctrl-C reaches the program
 * alone, which then ends its helpers). A helper whose program is gone finds
 * its socket closed and ends.
 */
#include "audio/helper.h"

#include "audio/codec_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HELPER_NAME "spleeterd-codec"

/* A helper that neither sends nor takes anything for so long hangs. */
#define SILENCE_MAX_S 120

const char *spl_sandbox_warning(void) {
    const unsigned ask_version = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, ask_version) > 0)
        return NULL;
    return "this kernel has no Landlock (or it is off): seccomp alone keeps the codec helper from "
           "files";
}

static int find_helper(char ret_path[PATH_MAX], spl_error *ret_error) {
    const char *set = secure_getenv("SPLEETER_CODEC");
    if (set) {
        snprintf(ret_path, PATH_MAX, "%s", set);
        if (access(ret_path, X_OK) < 0)
            return spl_fail(ret_error, SPL_E_HELPER,
                            "the codec helper %s, set by SPLEETER_CODEC, cannot be run: %s", set,
                            strerror(errno));
        return 0;
    }

    char folder[PATH_MAX - 64];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    folder[SPL_MAX(length, 0)] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    const char *places[] = {"", "/../libexec/spleeterd", NULL};
    for (size_t i = 0; slash && places[i]; i++) {
        snprintf(ret_path, PATH_MAX, "%s%s/" HELPER_NAME, folder, places[i]);
        if (access(ret_path, X_OK) == 0)
            return 0;
    }
    snprintf(ret_path, PATH_MAX, "%s", SPL_LIBEXECDIR "/" HELPER_NAME);
    if (access(ret_path, X_OK) == 0)
        return 0;
    return spl_fail(ret_error, SPL_E_HELPER,
                    "the codec helper " HELPER_NAME " is neither beside this program nor in "
                    "../libexec/spleeterd nor in " SPL_LIBEXECDIR
                    "; install it or set SPLEETER_CODEC to its path");
}

static int spawn(const char *path, const char *mode, int channel, int file, pid_t *ret_pid) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int failed = posix_spawnattr_init(&attributes);
    if (failed)
        return failed;
    failed = posix_spawn_file_actions_init(&actions);
    if (failed) {
        posix_spawnattr_destroy(&attributes);
        return failed;
    }

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    for (int fd = 0; fd <= 2 && !failed; fd++)
        failed = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, channel, SPL_HELPER_CHANNEL_FD);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, file, SPL_HELPER_FILE_FD);

    char *const arguments[] = {(char[]){HELPER_NAME}, (char *)(uintptr_t)mode, NULL};
    char *const environment[] = {NULL};
    if (!failed)
        failed = posix_spawn(ret_pid, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

int spl_helper_start(const char *mode, int file_fd, spl_helper *ret_helper, spl_error *ret_error) {
    char path[PATH_MAX];
    int status = find_helper(path, ret_error);
    if (status < 0)
        return status;

    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return spl_fail_errno(ret_error, errno, "cannot make a socket for the codec helper");
    SPL_CLEANUP(spl_close_p) int ours = pair[0];
    SPL_CLEANUP(spl_close_p) int theirs = pair[1];
    const struct timeval silence = {.tv_sec = SILENCE_MAX_S};
    if (setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) < 0 ||
        setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence)) < 0)
        return spl_fail_errno(ret_error, errno, "cannot set up the socket of the codec helper");

    /* Above the numbers that the child fills, so that none is overwritten before it is duplicated. */
    SPL_CLEANUP(spl_close_p) int channel = fcntl(theirs, F_DUPFD_CLOEXEC, SPL_HELPER_FILE_FD + 1);
    SPL_CLEANUP(spl_close_p) int file = fcntl(file_fd, F_DUPFD_CLOEXEC, SPL_HELPER_FILE_FD + 1);
    if (channel < 0 || file < 0)
        return spl_fail_errno(ret_error, errno, "cannot hand a file to the codec helper");

    pid_t pid;
    int failed = spawn(path, mode, channel, file, &pid);
    if (failed)
        return spl_fail(ret_error, SPL_E_HELPER, "cannot start the codec helper %s: %s", path,
                        strerror(failed));
    *ret_helper = (spl_helper){.pid = pid, .fd = spl_steal_fd(&ours)};
    return 0;
}

/* Kills and reaps. A helper that has already ended keeps the status it ended with. Returns it, or -1. */
static int end(spl_helper *helper) {
    int wait_status = -1;
    if (helper->fd >= 0)
        close(spl_steal_fd(&helper->fd));
    if (helper->pid > 0) {
        kill(helper->pid, SIGKILL);
        pid_t waited;
        do {
            waited = waitpid(helper->pid, &wait_status, 0);
        } while (waited < 0 && errno == EINTR);
        helper->pid = 0;
        if (waited < 0)
            return -1;
    }
    return wait_status;
}

int spl_helper_fail(spl_helper *helper, const char *name, spl_error *ret_error) {
    int wait_status = end(helper);
    if (wait_status != -1 && WIFSIGNALED(wait_status)) {
        switch (WTERMSIG(wait_status)) {
        case SIGKILL:
            return spl_fail(ret_error, SPL_E_HELPER,
                            "%s: the codec helper was killed, hung, or sent what it should not",
                            name);
        case SIGSYS:
            return spl_fail(ret_error, SPL_E_HELPER,
                            "%s: the codec helper was stopped by its sandbox", name);
        case SIGXCPU:
            return spl_fail(ret_error, SPL_E_LIMIT,
                            "%s: the codec helper was stopped, for it took too much CPU time",
                            name);
        default:
            return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper crashed: %s", name,
                            strsignal(WTERMSIG(wait_status)));
        }
    }
    if (wait_status != -1 && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 0)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the codec helper does not run (exit status %d); see what "
                        "`" HELPER_NAME " self-test` says",
                        WEXITSTATUS(wait_status));
    return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper sent what it should not", name);
}

void spl_helper_end(spl_helper *helper) {
    end(helper);
}

int spl_sandbox_check(spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return spl_fail_errno(ret_error, errno, "cannot open /dev/null");
    spl_helper helper = SPL_HELPER_INIT;
    int status = spl_helper_start("self-test", file, &helper, ret_error);
    if (status < 0)
        return status;
    int wait_status = 0;
    pid_t waited;
    do {
        waited = waitpid(helper.pid, &wait_status, 0);
    } while (waited < 0 && errno == EINTR);
    helper.pid = 0;
    spl_helper_end(&helper);
    if (waited < 0 || !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the sandbox of the codec helper is not tight here; see what "
                        "`" HELPER_NAME " self-test` says");
    return 0;
}
