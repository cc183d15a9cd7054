/* SPDX-License-Identifier: MIT
 *
 * The shared job store in a build without libpq.
 */
#include "service/store/store.h"

static int refuse(spl_error *ret_error) {
    return spl_fail(ret_error, SPL_E_UNSUPPORTED,
                    "this spleeterd was built without PostgreSQL (-Dpostgres=disabled); leave "
                    "SPLEETER_DATABASE_URL empty, or install a build that has it");
}

int spl_store_open_postgres(const spl_store_postgres *options, spl_store **ret_store,
                            spl_error *ret_error) {
    (void)options, (void)ret_store;
    return refuse(ret_error);
}

int spl_store_probe_postgres(const char *url, spl_error *ret_error) {
    (void)url;
    return refuse(ret_error);
}
