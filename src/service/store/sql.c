/* SPDX-License-Identifier: MIT
 *
 * Code that all databases behind the job store share.
 */
#include "service/store/sql.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int spl_transaction_begin(spl_sql *sql, spl_transaction_kind kind, spl_transaction *ret_transaction,
                          spl_error *ret_error) {
    spl_transaction transaction = {.sql = sql, .kind = kind};
    int status = sql->functions->begin(sql, &transaction, ret_error);
    if (status == 0)
        *ret_transaction = transaction;
    return status;
}

void spl_transaction_notify(spl_transaction *transaction, spl_topic topic, const char *id) {
    for (size_t i = 0; i < transaction->notification_count; i++) {
        if (transaction->notifications[i].topic == topic &&
            strcmp(transaction->notifications[i].id, id ? id : "") == 0)
            return;
    }
    assert(transaction->notification_count < SPL_NOTIFICATIONS_MAX);
    transaction->notifications[transaction->notification_count].topic = topic;
    snprintf(transaction->notifications[transaction->notification_count].id, SPL_ID_SIZE, "%s",
             id ? id : "");
    transaction->notification_count++;
}

int spl_transaction_commit(spl_transaction *transaction, spl_error *ret_error) {
    spl_sql *sql = transaction->sql;
    int status = sql->functions->commit(transaction, ret_error);
    for (size_t i = 0; i < transaction->notification_count && status == 0; i++)
        sql->notified(sql->user, transaction->notifications[i].topic,
                      transaction->notifications[i].id);
    return status;
}

void spl_transaction_end(spl_transaction *transaction) {
    if (transaction->sql)
        transaction->sql->functions->end(transaction);
    transaction->sql = NULL;
}

static int run(spl_transaction *transaction, spl_statement statement, const spl_value *values,
               size_t value_count, spl_rows *ret_rows, int *ret_changed, spl_error *ret_error) {
    spl_rows rows = {.connection = transaction->connection};
    int changed = 0;
    int status = transaction->sql->functions->query(transaction, statement, values, value_count,
                                                    &rows, &changed, ret_error);
    if (status < 0)
        return status;
    rows.sql = transaction->sql;
    if (ret_changed)
        *ret_changed = changed;
    if (ret_rows)
        *ret_rows = rows;
    else
        spl_rows_end(&rows);
    return status;
}

int spl_query(spl_transaction *transaction, spl_statement statement, const spl_value *values,
              size_t value_count, spl_rows *ret_rows, spl_error *ret_error) {
    return run(transaction, statement, values, value_count, ret_rows, NULL, ret_error);
}

int spl_change(spl_transaction *transaction, spl_statement statement, const spl_value *values,
               size_t value_count, int *ret_changed, spl_error *ret_error) {
    int status = run(transaction, statement, values, value_count, NULL, ret_changed, ret_error);
    return SPL_MIN(status, 0);
}

int spl_rows_next(spl_rows *rows, spl_error *ret_error) {
    return rows->sql->functions->next(rows, ret_error);
}

void spl_rows_end(spl_rows *rows) {
    if (rows->sql)
        rows->sql->functions->end_rows(rows);
    rows->sql = NULL;
}

int64_t spl_row_whole(const spl_rows *rows, int column) {
    return rows->sql->functions->whole(rows, column);
}

double spl_row_real(const spl_rows *rows, int column) {
    return rows->sql->functions->real(rows, column);
}

int spl_row_text(const spl_rows *rows, int column, char **ret_text, spl_error *ret_error) {
    const char *text = rows->sql->functions->text(rows, column);
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return spl_fail_memory(ret_error);
    *ret_text = copy;
    return 0;
}

void spl_row_fill(const spl_rows *rows, int column, char *text, size_t size) {
    const char *value = rows->sql->functions->text(rows, column);
    snprintf(text, size, "%s", value ? value : "");
}
