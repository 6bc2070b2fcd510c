#include "api/silence.h"

#include <stdlib.h>

#include "common/digits.h"
#include "common/mem.h"

struct location {
    int64_t website_id, location_id;
};

struct locations {
    struct location *all; /* in order */
    size_t count;         /* SILENCE_LOCATIONS_MAX + 1: there are more */
};

struct silence {
    struct locations last;
    bool known; /* there was a look */
};

static int compare(const void *left, const void *right)
{
    const struct location *a = left;
    const struct location *b = right;

    if (a->website_id != b->website_id) {
        return a->website_id < b->website_id ? -1 : 1;
    }
    return (a->location_id > b->location_id) - (a->location_id < b->location_id);
}

static int read_locations(PGconn *conn, struct locations *out, struct err *err)
{
    static const char sql[] =
        "SELECT l.website_id, l.location_id FROM site_locations l JOIN websites w"
        " USING (website_id) WHERE l.stale AND w.deleted_at IS NULL"
        " LIMIT " DIGITS(SILENCE_LOCATIONS_MAX) " + 1";
    PGresult *rows = pg_query(conn, "look for silent locations", sql, NULL, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    out->count = (size_t)PQntuples(rows);
    out->all = mem_alloc(out->count, sizeof(*out->all));
    for (size_t i = 0; i < out->count; i++) {
        out->all[i].website_id = pg_int(rows, (int)i, 0);
        out->all[i].location_id = pg_int(rows, (int)i, 1);
    }
    PQclear(rows);
    qsort(out->all, out->count, sizeof(*out->all), compare);
    return 0;
}

/* Sites of what is in one of them and not in the other. */
static void add_differing(struct pg_array *ids, const struct locations *a,
                          const struct locations *b)
{
    size_t i = 0, k = 0;

    while (i < a->count || k < b->count) {
        int order = i == a->count ? 1 : k == b->count ? -1 : compare(&a->all[i], &b->all[k]);

        if (order != 0) {
            pg_array_int8(ids, order < 0 ? a->all[i].website_id : b->all[k].website_id);
        }
        i += order <= 0;
        k += order >= 0;
    }
}

int silence_look(struct silence *s, PGconn *conn, struct pg_array *ids, bool *many, struct err *err)
{
    struct locations found;

    if (read_locations(conn, &found, err) < 0) {
        return -1;
    }
    bool are_many = found.count > SILENCE_LOCATIONS_MAX;
    bool were_many = s->last.count > SILENCE_LOCATIONS_MAX;

    *many = s->known && are_many != were_many;
    if (s->known && !are_many && !were_many) {
        add_differing(ids, &s->last, &found);
    }
    free(s->last.all);
    s->last = found;
    s->known = true;
    return 0;
}

void silence_forget(struct silence *s)
{
    s->known = false;
}

struct silence *silence_new(void)
{
    return mem_alloc(1, sizeof(struct silence));
}

void silence_free(struct silence *s)
{
    if (s != NULL) {
        free(s->last.all);
        free(s);
    }
}
