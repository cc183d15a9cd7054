/* SPDX-License-Identifier: MIT
 *
 * `spleeterd models pull` in a build without the service, which lacks libcurl and libarchive.
 */
#include "cli/models.h"

cli_exit cli_models_pull(const cli_pull_request *request, char **names, int name_count,
                         spl_error *ret_error) {
    (void)request, (void)names, (void)name_count;
    spl_fail(ret_error, SPL_E_UNSUPPORTED,
             "this spleeterd was built without downloads (-Dservice=disabled); fetch the "
             "checkpoint yourself and run spleeterd models import");
    return CLI_EXIT_USAGE;
}
