/* SPDX-License-Identifier: MIT
 *
 * Tries to break out of the sandbox. Each attempt runs in its own child process, which enters the
 * sandbox as for decoding. A call counts as denied when it kills the child (SIGSYS) or fails with
 * EACCES or EPERM.
 */
#include "codec/codec.h"
#include "codec/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void *writable_page;

static long try_open(void) {
    return open("/", O_RDONLY | O_DIRECTORY);
}

static long try_create(void) {
    return open("/tmp/spleeterd-codec-self-test", O_CREAT | O_WRONLY, 0600);
}

static long try_openat2(void) {
    uint64_t how[3] = {O_RDONLY};
    return syscall(SYS_openat2, AT_FDCWD, "/", how, sizeof(how));
}

static long try_unlink(void) {
    return unlink("/tmp/spleeterd-codec-self-test");
}

static long try_write_to_media_file(void) {
    return pwrite(SPL_HELPER_FILE_FD, "x", 1, 0);
}

static long try_write_to_standard_output(void) {
    return write(STDOUT_FILENO, "x", 1);
}

static long try_duplicate(void) {
    return dup(STDIN_FILENO);
}

static long try_memfd(void) {
    return memfd_create("x", 0);
}

static long try_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_unix_socket(void) {
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static long try_fork(void) {
    return fork();
}

static long try_clone3(void) {
    uint64_t arguments[8] = {[4] = SIGCHLD};
    return syscall(SYS_clone3, arguments, sizeof(arguments));
}

static long try_unshare(void) {
    return unshare(CLONE_NEWUSER);
}

static long try_execve(void) {
    char *const arguments[] = {(char[]){"true"}, NULL};
    return execve("/bin/true", arguments, arguments + 1);
}

static long try_ptrace(void) {
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long try_read_memory_of_parent(void) {
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long try_kill(void) {
    return syscall(SYS_kill, 1, 0);
}

static long try_signal_to_thread(void) {
    return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGCONT);
}

static long try_becoming_root(void) {
    return setresuid(0, 0, 0);
}

static long try_executable_memory(void) {
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

static long try_making_memory_executable(void) {
    return mprotect(writable_page, 4096, PROT_READ | PROT_EXEC);
}

static long try_hiding_memory_from_limit(void) {
    return mprotect(writable_page, 4096, PROT_READ);
}

static long try_mapping_file(void) {
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, SPL_HELPER_FILE_FD, 0);
    return page == MAP_FAILED ? -1 : 0;
}

static long try_shared_memory(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

/* Memory that grows downwards counts as stack, which RLIMIT_DATA does not cover. */
static long try_stack_memory(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

static long try_sending_out_of_band(void) {
    return send(SPL_HELPER_CHANNEL_FD, "x", 1, MSG_OOB | MSG_NOSIGNAL);
}

static long try_receiving_out_of_band(void) {
    char byte;
    return recv(SPL_HELPER_CHANNEL_FD, &byte, 1, MSG_OOB | MSG_DONTWAIT);
}

static long try_prctl(void) {
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_raising_limit(void) {
    return syscall(SYS_prlimit64, 0, 0, NULL, NULL);
}

static long try_bpf(void) {
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_io_uring(void) {
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static const struct attempt {
    const char *name;
    long (*call)(void);
} attempts[] = {
    {"open a folder", try_open},
    {"create a file", try_create},
    {"openat2", try_openat2},
    {"remove a file", try_unlink},
    {"write to the file that is decoded", try_write_to_media_file},
    {"write to standard output", try_write_to_standard_output},
    {"duplicate a descriptor", try_duplicate},
    {"memfd_create", try_memfd},
    {"TCP socket", try_socket},
    {"Unix socket", try_unix_socket},
    {"fork", try_fork},
    {"clone3", try_clone3},
    {"unshare", try_unshare},
    {"execve", try_execve},
    {"ptrace", try_ptrace},
    {"read the memory of the parent", try_read_memory_of_parent},
    {"kill", try_kill},
    {"tgkill", try_signal_to_thread},
    {"become root", try_becoming_root},
    {"mmap of executable memory", try_executable_memory},
    {"mprotect to executable", try_making_memory_executable},
    {"mprotect to read-only", try_hiding_memory_from_limit},
    {"mmap of a file", try_mapping_file},
    {"mmap of shared memory", try_shared_memory},
    {"mmap of memory that grows downwards", try_stack_memory},
    {"send out of band", try_sending_out_of_band},
    {"receive out of band", try_receiving_out_of_band},
    {"prctl", try_prctl},
    {"prlimit", try_raising_limit},
    {"bpf", try_bpf},
    {"io_uring_setup", try_io_uring},
};

enum outcome { DENIED = 40, ALLOWED, NO_LANDLOCK, NO_SANDBOX };

static enum outcome outcome_of(long result) {
    return result < 0 && (errno == EACCES || errno == EPERM) ? DENIED : ALLOWED;
}

/* Runs `child` in a child process. Returns its exit status, DENIED if seccomp killed it, or -1. */
static int run(enum outcome (*child)(const struct attempt *), const struct attempt *attempt) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child(attempt));
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return DENIED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const spl_sandbox_budget budget = {.memory_mib = SPL_SANDBOX_PROBE_MEMORY_MIB, .cpu_s = 10};

static bool enter(void) {
    bool without_landlock;
    spl_error error;
    int status = spl_sandbox_enter(SPL_SANDBOX_DECODE, &budget, &without_landlock, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    return status == 0;
}

static enum outcome attempt_in_sandbox(const struct attempt *attempt) {
    return enter() ? outcome_of(attempt->call()) : NO_SANDBOX;
}

static enum outcome open_under_landlock_alone(const struct attempt *attempt) {
    bool enforced;
    if (spl_sandbox_landlock(&enforced, NULL) < 0)
        return NO_SANDBOX;
    return enforced ? outcome_of(attempt->call()) : NO_LANDLOCK;
}

static enum outcome allocate_under_limits_alone(const struct attempt *attempt) {
    (void)attempt;
    if (spl_sandbox_limits(SPL_SANDBOX_DECODE, &budget, NULL) < 0)
        return NO_SANDBOX;
    void *memory = mmap(NULL, (size_t)(budget.memory_mib + 1) << 20, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED && errno == ENOMEM ? DENIED : ALLOWED;
}

static enum outcome write_under_limits_alone(const struct attempt *attempt) {
    (void)attempt;
    const spl_sandbox_budget own = {.memory_mib = 256, .cpu_s = 10, .file_bytes = 4096};
    signal(SIGXFSZ, SIG_IGN);
    if (spl_sandbox_limits(SPL_SANDBOX_ENCODE, &own, NULL) < 0)
        return NO_SANDBOX;
    const bool inside = pwrite(SPL_HELPER_FILE_FD, "x", 1, 4095) == 1;
    const bool beyond = pwrite(SPL_HELPER_FILE_FD, "x", 1, 4096) == 1;
    return inside && !beyond && errno == EFBIG ? DENIED : ALLOWED;
}

static enum outcome keep_privileges(const struct attempt *attempt) {
    (void)attempt;
    if (spl_sandbox_identity(NULL) < 0)
        return NO_SANDBOX;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3];
    bool none = syscall(SYS_capget, &header, has) == 0;
    for (size_t i = 0; i < SPL_ARRAY_SIZE(has); i++)
        none = none && !has[i].effective && !has[i].permitted && !has[i].inheritable;
    return none ? DENIED : ALLOWED;
}

/* The operations that decoding needs must be allowed. */
static enum outcome work_in_sandbox(const struct attempt *attempt) {
    (void)attempt;
    if (!enter())
        return NO_SANDBOX;
    char byte;
    void *memory = malloc(16 << 20);
    bool works = memory && pread(SPL_HELPER_FILE_FD, &byte, 1, 0) >= 0;
    free(memory);
    return works ? ALLOWED : DENIED;
}

static bool report(const char *what, const char *name, int outcome, int wanted) {
    bool good = outcome == wanted;
    const char *result = outcome == DENIED        ? "denied"
                         : outcome == ALLOWED     ? "allowed"
                         : outcome == NO_LANDLOCK ? "no Landlock on this kernel"
                         : outcome == NO_SANDBOX  ? "the sandbox cannot be entered"
                                                  : "crashed";
    printf("%-4s  %s: %s: %s\n", good ? "ok" : "FAIL", what, name, result);
    return good;
}

int spl_codec_self_test(void) {
    writable_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = memfd_create("media", MFD_CLOEXEC);
    if (writable_page == MAP_FAILED || file < 0 || ftruncate(file, 4096) < 0 ||
        dup2(file, SPL_HELPER_FILE_FD) < 0) {
        perror("spleeterd-codec self-test");
        return EXIT_FAILURE;
    }

    bool good = report("sandbox", "memory and the media file", run(work_in_sandbox, NULL), ALLOWED);
    for (size_t i = 0; i < SPL_ARRAY_SIZE(attempts); i++) {
        int outcome = run(attempt_in_sandbox, &attempts[i]);
        good &= report("sandbox", attempts[i].name, outcome, DENIED);
    }
    good &= report("identity alone", "keep capabilities", run(keep_privileges, NULL), DENIED);
    good &= report("limits alone", "more memory than the limit",
                   run(allocate_under_limits_alone, NULL), DENIED);
    good &= report("limits alone", "write behind the limit", run(write_under_limits_alone, NULL),
                   DENIED);
    const struct attempt open_attempt = {"open a folder", try_open};
    int landlock = run(open_under_landlock_alone, &open_attempt);
    good &= report("Landlock alone", open_attempt.name, landlock,
                   landlock == NO_LANDLOCK ? NO_LANDLOCK : DENIED);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
