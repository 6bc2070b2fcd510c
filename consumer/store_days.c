#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/store_internal.h"

#define DAY_US (INT64_C(86400) * US_PER_SEC)
#define DAYS_CACHED_MAX 8192 /* far above any retention */

static int32_t day_of(int64_t unix_us)
{
    int64_t day = unix_us / DAY_US;

    return (int32_t)(unix_us % DAY_US < 0 ? day - 1 : day);
}

static int32_t today(void)
{
    return day_of(clock_real_ns() / NS_PER_US);
}

void store_days_forget(struct store *s)
{
    s->days_count = 0;
}

static bool is_known(const struct store *s, int32_t day)
{
    for (size_t i = 0; i < s->days_count; i++) {
        if (s->days[i] == day) {
            return true;
        }
    }
    return false;
}

static void note_day(struct store *s, int32_t day)
{
    if (s->days_count == DAYS_CACHED_MAX) {
        store_days_forget(s);
    }
    if (s->days_count == s->days_size) {
        s->days_size = s->days_size == 0 ? 64 : s->days_size * 2;
        s->days = mem_resize(s->days, s->days_size, sizeof(*s->days));
    }
    s->days[s->days_count++] = day;
}

/* In a transaction of its own, so that the partition is there for every other consumer at once. */
static int make_day(struct store *s, int32_t day, struct err *err)
{
    struct pg_params p = {0};

    pg_add_int(&p, day);

    PGresult *result =
        pg_query(s->conn, "make a partition",
                 "SELECT checks_make_day(date '1970-01-01' + $1::integer)", &p, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    PQclear(result);
    note_day(s, day);
    return 0;
}

int store_days_ahead(struct store *s, int days, struct err *err)
{
    int32_t first = today();

    if (!store_is_connected(s)) {
        return err_set(err, ERR_RETRY, "not connected to Postgres");
    }
    for (int32_t day = first; day <= first + days; day++) {
        if (!is_known(s, day) && make_day(s, day, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Which days may have a partition: one day of grace on both sides, so that this is never stricter
 * than those who judge the slot itself. */
int32_t store_days_first(const struct store *s)
{
    int32_t now = today();

    return s->settings.retention_days > 0 && s->settings.retention_days < now
               ? now - (int32_t)s->settings.retention_days - 1
               : INT32_MIN;
}

int store_days_resolve(struct store *s, struct batch *batch, struct err *err)
{
    int32_t first = store_days_first(s);
    int32_t latest = today() + STORE_DAYS_AHEAD + 1;
    struct store_refusals refused = {0};
    int32_t last = INT32_MIN;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < batch->rows_count; i++) {
        const struct batch_row *row = &batch->rows[i];
        int32_t day = day_of(row->event.slot_us);

        if (!store_row_is_live(batch, row) || day == last) {
            continue;
        }
        if (day < first) {
            store_refuse(&refused, i, "slot_expired", "the slot is older than the retention");
        } else if (day > latest) {
            store_refuse(&refused, i, "slot_future", "the slot is days ahead");
        } else {
            rc = is_known(s, day) ? 0 : make_day(s, day, err);
            last = day;
        }
    }
    if (rc == 0) {
        batch_reject_rows(batch, refused.items, refused.count);
    }
    store_refusals_free(&refused);
    return rc;
}
