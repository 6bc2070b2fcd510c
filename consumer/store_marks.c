/*
 * Marks of the hours that a batch touches, in its transaction: what tells the rollups of those
 * hours and their days to be stale (sql/0003_rollups.sql). One row a batch, inserted and never
 * looked up.
 */
#include "common/clock.h"
#include "consumer/store_state.h"

#define HOUR_US (INT64_C(3600) * US_PER_SEC)

static int32_t hour_of(int64_t unix_us)
{
    int64_t hour = unix_us / HOUR_US;

    return (int32_t)(unix_us % HOUR_US < 0 ? hour - 1 : hour);
}

int store_marks_write(struct store *s, const struct state_work *work, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array websites, locations, hours;

    pg_array_init(&websites, PG_INT8);
    pg_array_init(&locations, PG_INT4);
    pg_array_init(&hours, PG_INT4);
    for (size_t i = 0; i < work->keys_count; i++) {
        const struct state_key *key = &work->keys[i];

        for (size_t n = 0; n < key->count; n++) {
            int32_t hour = hour_of(key->checks[n].slot_us);

            if (n > 0 && hour == hour_of(key->checks[n - 1].slot_us)) {
                continue; /* checks are in the order of their slots */
            }
            pg_array_int8(&websites, key->id.website_id);
            pg_array_int4(&locations, (int32_t)key->id.location_id);
            pg_array_int4(&hours, hour);
        }
    }
    pg_add_array(&p, &websites);
    pg_add_array(&p, &locations);
    pg_add_array(&p, &hours);

    int rc = pg_execute(s->conn, "write marks",
                        "INSERT INTO rollup_marks (website_ids, location_ids, hours)"
                        " VALUES ($1::bigint[], $2::integer[], $3::integer[])",
                        &p, NULL, &s->fault, err);

    pg_array_free(&websites);
    pg_array_free(&locations);
    pg_array_free(&hours);
    return rc;
}
