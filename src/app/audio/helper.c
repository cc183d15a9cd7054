/* SPDX-License-Identifier: MIT
 *
 * Starts the codec helper in the manner of vfork. The child has descriptors 0 to 2 on /dev/null,
 * the socket and the media file on the protocol's two numbers, default signal actions, its own
 * process group, and its own PID, network and IPC namespaces. The process group keeps Ctrl-C from
 * the helper; the program ends its helpers itself. The kernel kills a helper whose program exits.
 */
#include "app/audio/helper.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HELPER_NAME "spleeterd-codec"

/* A helper that neither sends nor receives for this long counts as hanging. */
#define SILENCE_MAX_S 120

/* CPU time that a helper with a limit may use during one wait. */
#define WAIT_CPU_MAX_S 30

/* The child's stack until execve. */
#define STACK_BYTES 65536

/* How often a waiting call polls `stop`. */
#define POLL_MS 100

/* How long the self-test may take. */
#define SELF_TEST_MS 30000

/* How long to wait for the exit status of a helper that closed its socket. */
#define EXIT_MS 1000

const char *spl_sandbox_warning(void) {
    const unsigned version_flag = 1; /* LANDLOCK_CREATE_RULESET_VERSION */
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, version_flag) > 0)
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

    char folder[PATH_MAX];
    spl_program_folder(folder);
    const char *places[] = {"", "/../libexec/spleeterd", NULL};
    for (size_t i = 0; *folder && places[i]; i++) {
        const int length = snprintf(ret_path, PATH_MAX, "%s%s/" HELPER_NAME, folder, places[i]);
        if (length < PATH_MAX && access(ret_path, X_OK) == 0)
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

static pid_t wait_for(pid_t pid, int flags, int *ret_status) {
    pid_t waited;
    do {
        waited = waitpid(pid, ret_status, flags);
    } while (waited < 0 && errno == EINTR);
    return waited;
}

/* Data for the child, which shares our memory until execve. */
typedef struct spawn_request {
    const char *path, *mode;
    int channel, file;
    int failed_errno; /* 0: it runs */
} spawn_request;

/* Runs in the child. It makes raw system calls only, because library state for signals and
 * descriptors is shared with the program. */
static int run_helper(void *user) {
    spawn_request *request = user;
    const uint64_t usual_action[4] = {0}, no_signals = 0;
    for (int number = 1; number < _NSIG; number++)
        syscall(SYS_rt_sigaction, number, usual_action, NULL, sizeof(no_signals));
    syscall(SYS_setpgid, 0, 0);

    const int null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
    if (null < 0)
        goto failed;
    const int wanted[] = {null, null, null, request->channel, request->file};
    for (int fd = 0; fd < (int)SPL_ARRAY_SIZE(wanted); fd++) {
        const long moved = wanted[fd] == fd ? syscall(SYS_fcntl, fd, F_SETFD, 0)
                                            : syscall(SYS_dup3, wanted[fd], fd, 0);
        if (moved < 0)
            goto failed;
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
    char *const arguments[] = {(char[]){HELPER_NAME}, (char *)(uintptr_t)request->mode, NULL};
    char *const environment[] = {NULL};
    syscall(SYS_execve, request->path, arguments, environment);
failed:
    request->failed_errno = errno;
    syscall(SYS_exit_group, 127);
    return 0;
}

/* Starts the helper in new namespaces, as CLONE_NEW* flags. Returns 0 or an errno. */
static int start_in(int namespaces, char *stack, spawn_request *request, pid_t *ret_pid) {
    sigset_t all, before;
    sigfillset(&all);
    request->failed_errno = 0;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = clone(run_helper, stack + STACK_BYTES,
                            CLONE_VM | CLONE_VFORK | SIGCHLD | namespaces, request);
    const int clone_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return clone_errno;
    if (request->failed_errno) {
        int wait_status;
        wait_for(pid, 0, &wait_status);
        return request->failed_errno;
    }
    *ret_pid = pid;
    return 0;
}

/* New namespaces require a capability or a new user namespace, which container engines and
 * systemd's RestrictNamespaces may deny. The helper then runs without them: the rest of the sandbox
 * does not depend on them. */
static int spawn(spawn_request *request, pid_t *ret_pid) {
    const int own = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC;
    SPL_CLEANUP(spl_free_p) char *stack = aligned_alloc(16, STACK_BYTES);
    if (!stack)
        return ENOMEM;
    const int failed =
        start_in(geteuid() == 0 ? own : own | CLONE_NEWUSER, stack, request, ret_pid);
    return failed ? start_in(0, stack, request, ret_pid) : 0;
}

static atomic_bool landlock_required;

void spl_sandbox_require_landlock(void) {
    atomic_store(&landlock_required, true);
}

static int check_landlock(spl_error *ret_error) {
    const char *set = secure_getenv("SPLEETER_REQUIRE_LANDLOCK");
    const bool by_variable = set && strcmp(set, "1") == 0;
    if (set && *set && !by_variable && strcmp(set, "0") != 0)
        return spl_fail(ret_error, SPL_E_HELPER, "SPLEETER_REQUIRE_LANDLOCK is %s: give 0 or 1",
                        set);
    if ((by_variable || atomic_load(&landlock_required)) && spl_sandbox_warning())
        return spl_fail(ret_error, SPL_E_HELPER,
                        "this kernel has no Landlock (or it is off), which "
                        "SPLEETER_REQUIRE_LANDLOCK requires; boot with lsm=landlock, or set it to "
                        "0 to rely on seccomp alone");
    return 0;
}

int spl_helper_start(const char *mode, int file_fd, const spl_stop *stop, spl_helper *ret_helper,
                     spl_error *ret_error) {
    char path[PATH_MAX];
    int status = check_landlock(ret_error);
    if (status == 0)
        status = find_helper(path, ret_error);
    if (status < 0)
        return status;

    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return spl_fail_errno(ret_error, errno, "cannot create a socket for the codec helper");
    SPL_CLEANUP(spl_close_p) int ours = pair[0];
    SPL_CLEANUP(spl_close_p) int theirs = pair[1];

    /* Numbers above those that the child assigns, so that none is overwritten before it is
     * duplicated. */
    SPL_CLEANUP(spl_close_p) int channel = fcntl(theirs, F_DUPFD_CLOEXEC, SPL_HELPER_FILE_FD + 1);
    SPL_CLEANUP(spl_close_p) int file = fcntl(file_fd, F_DUPFD_CLOEXEC, SPL_HELPER_FILE_FD + 1);
    if (channel < 0 || file < 0)
        return spl_fail_errno(ret_error, errno, "cannot pass a file to the codec helper");

    pid_t pid = 0;
    spawn_request request = {.path = path, .mode = mode, .channel = channel, .file = file};
    const int failed = spawn(&request, &pid);
    if (failed == EAGAIN || failed == EMFILE || failed == ENFILE || failed == ENOMEM)
        return spl_fail_errno(ret_error, failed, "cannot start the codec helper %s", path);
    if (failed)
        return spl_fail(ret_error, SPL_E_HELPER, "cannot start the codec helper %s: %s", path,
                        strerror(failed));
    *ret_helper = (spl_helper){.pid = pid, .fd = spl_steal_fd(&ours), .stop = *stop};
    return 0;
}

static int give_up(spl_helper *helper, spl_helper_end_reason reason) {
    helper->reason = reason;
    return SPL_E_HELPER;
}

/* The CPU time that the helper has used; 0 if it cannot be measured. */
static double cpu_s(const spl_helper *helper) {
    clockid_t clock;
    struct timespec used;
    if (helper->cpu_max_s <= 0 || helper->pid <= 0 ||
        clock_getcpuclockid(helper->pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* Waits until the socket is ready for `events`. */
static int await(spl_helper *helper, short events) {
    const double silent_s = spl_now_s() + SILENCE_MAX_S;
    const double cpu_end_s = SPL_MIN(helper->cpu_max_s, cpu_s(helper) + WAIT_CPU_MAX_S);
    for (;;) {
        if (spl_stop_requested(&helper->stop))
            return give_up(helper, SPL_HELPER_CANCELED);
        if (helper->end_s > 0 && spl_now_s() > helper->end_s)
            return give_up(helper, SPL_HELPER_LATE);
        struct pollfd socket = {.fd = helper->fd, .events = events};
        const int ready = poll(&socket, 1, POLL_MS);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return give_up(helper, SPL_HELPER_HUNG_UP);
        if (spl_now_s() > silent_s)
            return give_up(helper, SPL_HELPER_SILENT);
        if (cpu_s(helper) > cpu_end_s)
            return give_up(helper, SPL_HELPER_BUSY);
    }
}

/* Handles a failed send or recv: waits when the socket was not ready, and fails otherwise. */
static int await_after(spl_helper *helper, int transfer_errno, short events) {
    if (transfer_errno == EINTR)
        return 0;
    if (transfer_errno == EAGAIN || transfer_errno == EWOULDBLOCK)
        return await(helper, events);
    return give_up(helper, SPL_HELPER_HUNG_UP);
}

static int send_all(spl_helper *helper, const void *data, size_t size) {
    const char *bytes = data;
    while (size > 0) {
        const ssize_t sent = send(helper->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            const int status = await_after(helper, errno, POLLOUT);
            if (status < 0)
                return status;
            continue;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int spl_helper_send(spl_helper *helper, spl_record_type type, const void *payload, size_t size) {
    const spl_record_header header = {.type = type, .size_bytes = (uint32_t)size};
    const int status = send_all(helper, &header, sizeof(header));
    return status < 0 ? status : send_all(helper, payload, size);
}

int spl_helper_receive(spl_helper *helper, void *ret_payload, size_t size) {
    char *bytes = ret_payload;
    while (size > 0) {
        const ssize_t received = recv(helper->fd, bytes, size, MSG_DONTWAIT);
        if (received == 0)
            return give_up(helper, SPL_HELPER_HUNG_UP);
        if (received < 0) {
            const int status = await_after(helper, errno, POLLIN);
            if (status < 0)
                return status;
            continue;
        }
        bytes += received;
        size -= (size_t)received;
    }
    return 0;
}

int spl_helper_receive_header(spl_helper *helper, spl_record_header *ret_header) {
    return spl_helper_receive(helper, ret_header, sizeof(*ret_header));
}

/* Whether a failure with this status is the media file's, or one of writing it. The file may have
 * compromised the helper, so a status about the state of the program or the machine does not
 * count: the program would retry at the expense of others. */
static bool is_of_file(spl_status status, spl_helper_task task) {
    switch (status) {
    case SPL_E_ARGUMENT:
    case SPL_E_FORMAT:
    case SPL_E_UNSUPPORTED:
    case SPL_E_LIMIT:
    case SPL_E_BUDGET:
    case SPL_E_IO:
        return true;
    case SPL_E_NO_SPACE:
    case SPL_E_PERMISSION:
        return task == SPL_HELPER_ENCODES;
    default:
        return false;
    }
}

bool spl_helper_receive_failure(spl_helper *helper, spl_helper_task task,
                                const spl_record_header *header, const char *name,
                                spl_error *ret_error, int *ret_status) {
    spl_error failure;
    if (header->size_bytes != sizeof(failure) ||
        spl_helper_receive(helper, &failure, sizeof(failure)) < 0)
        return false;
    spl_text_make_printable(failure.message, sizeof(failure.message));
    *ret_status = is_of_file(failure.status, task)
                      ? spl_fail(ret_error, failure.status, "%s: %s", name, failure.message)
                      : spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper failed: %s", name,
                                 failure.message);
    return true;
}

/* Waits up to `limit_ms` for the helper to exit, and sets its wait status. Returns false if it has
 * not exited, or has no process. */
static bool has_ended(const spl_helper *helper, int limit_ms, int *ret_status) {
    for (int waited_ms = 0; helper->pid > 0; waited_ms += 10) {
        const pid_t waited = wait_for(helper->pid, WNOHANG, ret_status);
        if (waited != 0)
            return waited > 0;
        if (waited_ms >= limit_ms)
            return false;
        usleep(10000);
    }
    return false;
}

void spl_helper_end(spl_helper *helper) {
    if (helper->fd >= 0)
        close(spl_steal_fd(&helper->fd));
    if (helper->pid > 0) {
        int wait_status;
        kill(helper->pid, SIGKILL);
        wait_for(helper->pid, 0, &wait_status);
        helper->pid = 0;
    }
}

static int fail_cpu(const char *name, spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_BUDGET,
                    "%s: the codec helper used too much CPU time and was stopped; if the file "
                    "plays, convert it to FLAC or WAV first",
                    name);
}

/* Reports why a helper exited by itself. */
static int fail_ended(int wait_status, const char *name, spl_error *ret_error) {
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == SPL_HELPER_EXIT_CPU)
        return fail_cpu(name, ret_error);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != 0)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the codec helper does not run (exit status %d); for the cause, run "
                        "`" HELPER_NAME " self-test`",
                        WEXITSTATUS(wait_status));
    switch (WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0) {
    case 0:
        return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper ended without a result",
                        name);
    case SIGKILL:
        return spl_fail(ret_error, SPL_E_HELPER,
                        "%s: the codec helper was killed, most likely because memory ran out",
                        name);
    case SIGSYS:
        return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper was stopped by its sandbox",
                        name);
    case SIGXCPU:
        return fail_cpu(name, ret_error);
    default:
        return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper crashed: %s", name,
                        strsignal(WTERMSIG(wait_status)));
    }
}

int spl_helper_fail(spl_helper *helper, const char *name, spl_error *ret_error) {
    int wait_status;
    const bool ended =
        helper->reason == SPL_HELPER_HUNG_UP && has_ended(helper, EXIT_MS, &wait_status);
    if (ended)
        helper->pid = 0; /* already reaped: the PID may belong to another process by now */
    spl_helper_end(helper);
    if (ended)
        return fail_ended(wait_status, name, ret_error);
    if (helper->reason == SPL_HELPER_CANCELED)
        return spl_fail(ret_error, SPL_E_CANCELED, "%s: canceled", name);
    if (helper->reason == SPL_HELPER_LATE)
        return spl_fail(ret_error, SPL_E_BUDGET,
                        "%s: examining the file took too long; if it plays, convert it to FLAC or "
                        "WAV first",
                        name);
    if (helper->reason == SPL_HELPER_BUSY)
        return spl_fail(ret_error, SPL_E_BUDGET,
                        "%s: the encoder used too much CPU time and was stopped; choose another "
                        "format",
                        name);
    if (helper->reason == SPL_HELPER_SILENT)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "%s: the codec helper did not respond for %d seconds", name, SILENCE_MAX_S);
    return spl_fail(ret_error, SPL_E_HELPER, "%s: the codec helper sent invalid data", name);
}

int spl_sandbox_check(spl_error *ret_error) {
    return spl_sandbox_check_within(SELF_TEST_MS, ret_error);
}

int spl_sandbox_check_within(int limit_ms, spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return spl_fail_errno(ret_error, errno, "cannot open /dev/null");
    spl_helper helper = SPL_HELPER_INIT;
    int status = spl_helper_start("self-test", file, &(spl_stop){0}, &helper, ret_error);
    if (status < 0)
        return status;
    int wait_status = 0;
    const bool ended = has_ended(&helper, limit_ms, &wait_status);
    if (ended)
        helper.pid = 0;
    spl_helper_end(&helper);
    if (!ended)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the self-test of the codec helper did not end in %g s; for the cause, run "
                        "`" HELPER_NAME " self-test`",
                        1e-3 * limit_ms);
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the sandbox of the codec helper is not effective on this system; for the "
                        "cause, run `" HELPER_NAME " self-test`");
    return 0;
}
