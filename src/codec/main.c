/* SPDX-License-Identifier: MIT
 *
 * spleeterd-codec: decodes or encodes one media file for spleeterd, in a sandbox.
 *
 * src/app/audio/helper.c starts it with the two descriptors of src/app/audio/codec_protocol.h.
 * `spleeterd-codec self-test` may be run by hand.
 */
#include "codec/codec.h"
#include "codec/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int receive_request(spl_record_type type, uint32_t *request, size_t size,
                           spl_error *ret_error) {
    spl_record_header header;
    if (spl_record_receive_header(SPL_HELPER_CHANNEL_FD, &header) < 0 || header.type != type ||
        header.size_bytes != size || spl_record_receive(SPL_HELPER_CHANNEL_FD, request, size) < 0 ||
        request[0] != SPL_PROTOCOL_VERSION) {
        return spl_fail(ret_error, SPL_E_HELPER,
                        "the codec helper is of another version than this program");
    }
    return 0;
}

/* Makes the kernel's OOM killer prefer the helper to the program. Has no effect without /proc. */
static void offer_to_die_first(void) {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        errno = 0;
    close(fd);
}

static int serve(bool decode) {
    offer_to_die_first();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    spl_error error = {0};
    int status = spl_sandbox_identity(&error);
    if (status == 0 && decode) {
        spl_decode_request request;
        status = receive_request(SPL_RECORD_DECODE, &request.version, sizeof(request), &error);
        if (status == 0)
            status = spl_codec_decode(&request, &error);
    } else if (status == 0) {
        spl_encode_request request;
        status = receive_request(SPL_RECORD_ENCODE, &request.version, sizeof(request), &error);
        if (status == 0)
            status = spl_codec_encode(&request, &error);
    }
    if (status == SPL_E_MEMORY) /* the helper's budget ran out, not the machine's memory */
        error.status = SPL_E_BUDGET;
    if (status < 0)
        status = spl_record_send(SPL_HELPER_CHANNEL_FD, SPL_RECORD_FAILURE, &error, sizeof(error));
    /* Skip library destructors: they may make calls that the sandbox denies. */
    _exit(status < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static bool is_socket(int fd) {
    int type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) == 0;
}

int main(int argc, char **argv) {
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "self-test") == 0)
        return spl_codec_self_test();
    bool decode = strcmp(mode, "decode") == 0;
    if ((decode || strcmp(mode, "encode") == 0) && is_socket(SPL_HELPER_CHANNEL_FD))
        return serve(decode);
    fprintf(stderr,
            "spleeterd-codec decodes and encodes audio files for spleeterd, which starts it.\n"
            "You can run one command of it yourself:\n"
            "  spleeterd-codec self-test   whether the sandbox works on this machine\n");
    return 2;
}
