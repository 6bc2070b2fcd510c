/* Guarantee 7: state and incidents are what the rows say, in whatever order those came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/integration/pg_fixture.h"

#define ROUNDS 100
#define SLOTS 10
#define LOCATIONS 3
#define ATTEMPTS 2
#define EVENTS (SLOTS * LOCATIONS * ATTEMPTS)

static const char state_sql[] =
    "SELECT w.name, l.name, status, extract(epoch FROM since)::bigint % 86400,"
    " extract(epoch FROM last_slot)::bigint % 86400, failures_in_a_row,"
    " extract(epoch FROM incident_slot)::bigint % 86400"
    " FROM site_state JOIN websites w USING (website_id) JOIN locations l USING (location_id)"
    " ORDER BY w.name, l.name";
static const char incidents_sql[] =
    "SELECT extract(epoch FROM opened_slot)::bigint % 86400,"
    " extract(epoch FROM closed_slot)::bigint % 86400, checks, withdrawn, error_type,"
    " error_message FROM incidents ORDER BY opened_slot";

static const char overall_sql[] =
    "SELECT extract(epoch FROM opened_slot)::bigint % 86400,"
    " extract(epoch FROM closed_slot)::bigint % 86400, closed_by, quorum, (SELECT string_agg(name,"
    "   ',' ORDER BY name) FROM locations WHERE location_id = ANY (location_ids)), withdrawn"
    " FROM site_incidents ORDER BY opened_slot";
static const char overall_open_sql[] =
    "SELECT extract(epoch FROM incident_slot)::bigint % 86400 FROM site_overall";

/* Checks of site "s", one a character: u(p), D(egraded), d(own), ?(unknown), a space is none. */
static struct batch *batch_of(const struct store_claim *claim, int first_slot, const char *checks)
{
    struct batch *b = batch_new(1000, 1 << 20);
    uint32_t p =
        batch_partition(b, claim->topic, claim->partition, claim->epoch, claim->next_offset);

    for (int i = 0; checks[i] != '\0'; i++) {
        struct event e = fixture_event("s", fixture_slot_us(first_slot + i));

        if (checks[i] == ' ') {
            continue;
        }
        e.status = checks[i] == 'u'   ? CHECK_UP
                   : checks[i] == 'D' ? CHECK_DEGRADED
                   : checks[i] == 'd' ? CHECK_DOWN
                                      : CHECK_UNKNOWN;
        if (e.status == CHECK_DOWN) {
            e.error = ERROR_STATUS;
            e.error_message = "answered 503";
        }
        batch_add_row(b, p, b->partitions[p].next, &e);
    }
    return b;
}

static void store_checks(struct fixture *f, struct store_claim *claim, int first_slot,
                         const char *checks)
{
    struct batch *b = batch_of(claim, first_slot, checks);

    assert_done(fixture_write(f, b));
    claim->next_offset = b->partitions[0].next;
    batch_free(b);
}

static void store_checks_at(struct fixture *f, struct store_claim *claim, const char *location,
                            int first_slot, const char *checks)
{
    struct batch *b = batch_of(claim, first_slot, checks);

    for (size_t i = 0; i < b->rows_count; i++) {
        b->rows[i].event.location = location;
    }
    assert_done(fixture_write(f, b));
    claim->next_offset = b->partitions[0].next;
    batch_free(b);
}

static void insert_site(struct fixture *f, const char *name, const char *config)
{
    char sql[2048];

    snprintf(sql, sizeof(sql),
             "INSERT INTO websites (name, website_url, monitoring_interval, source, config)"
             " VALUES ('%s', 'u', 30, 'file', '%s')",
             name, config);
    fixture_exec(f->conn, sql);
}

static void test_incident_opens_and_closes(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_checks(f, &claim, 0, "uud");
    fixture_assert(f->conn, state_sql, "s|local|down|2|2|1|2");
    fixture_assert(f->conn, incidents_sql, "2|-|1|f|status|answered 503");
    store_checks(f, &claim, 3, "d?d");
    fixture_assert(f->conn, state_sql, "s|local|down|5|5|3|2");
    fixture_assert(f->conn, incidents_sql, "2|-|3|f|status|answered 503");
    store_checks(f, &claim, 6, "?");
    fixture_assert(f->conn, state_sql, "s|local|unknown|6|6|3|2");
    store_checks(f, &claim, 7, "D");
    fixture_assert(f->conn, state_sql, "s|local|degraded|7|7|0|-");
    fixture_assert(f->conn, incidents_sql, "2|7|3|f|status|answered 503");
}

static void test_incident_opens_after_the_sites_number_of_failures(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    insert_site(f, "s", "{\"failures\": 3}");
    store_checks(f, &claim, 0, "ddudd?");
    fixture_assert(f->conn, incidents_sql, "");
    store_checks(f, &claim, 6, "ddu");
    fixture_assert(f->conn, incidents_sql, "6|8|4|f|status|answered 503");
    fixture_exec(f->conn, "UPDATE websites SET config = '{\"failures\": \"x\"}'");
    store_checks(f, &claim, 9, "d");
    fixture_assert(f->conn, incidents_sql,
                   "6|8|4|f|status|answered 503\n9|-|1|f|status|answered 503");
}

static void test_late_success_withdraws_and_splits(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    insert_site(f, "s", "{\"failures\": 2}");
    store_checks(f, &claim, 0, "ud d d du");
    fixture_assert(f->conn, incidents_sql, "3|8|4|f|status|answered 503");
    store_checks(f, &claim, 4, "u");
    fixture_assert(f->conn, incidents_sql,
                   "3|4|2|f|status|answered 503\n7|8|2|f|status|answered 503");
    store_checks(f, &claim, 2, "u"); /* refuted: no two failures in a row are left there */
    fixture_assert(f->conn, incidents_sql,
                   "3|4|2|t|status|answered 503\n7|8|2|f|status|answered 503");
    fixture_assert(f->conn, state_sql, "s|local|up|8|8|0|-");
    store_checks(f, &claim, 9, "dd");
    fixture_assert(f->conn, state_sql, "s|local|down|9|10|2|10");
}

static void test_only_first_final_attempt_counts(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b = batch_of(&claim, 0, "udud");

    b->rows[1].event.final = false;
    b->rows[3].event.slot_us = b->rows[2].event.slot_us;
    b->rows[3].event.attempt = 2;
    assert_done(fixture_write(f, b));
    batch_free(b);
    fixture_assert(f->conn, state_sql, "s|local|up|0|2|0|-");
    fixture_assert(f->conn, incidents_sql, "");
}

/* The row of successes that the state knew had ended goes on, and began before what is read back.
 */
static void test_earlier_attempt_that_comes_late_replaces_the_later(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b;

    store_checks(f, &claim, 0, "Duu");
    b = batch_of(&claim, 3, "d");
    b->rows[0].event.attempt = 2;
    assert_done(fixture_write(f, b));
    claim.next_offset = b->partitions[0].next;
    batch_free(b);
    fixture_assert(f->conn, state_sql, "s|local|down|3|3|1|3");
    store_checks(f, &claim, 3, "u");
    fixture_assert(f->conn, state_sql, "s|local|up|1|3|0|-");
    fixture_assert(f->conn, incidents_sql, "3|-|1|t|status|answered 503");
}

static void test_duplicates_are_not_folded_twice(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_checks(f, &claim, 0, "udd");
    store_checks(f, &claim, 0, "uddd");
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 3);
    fixture_assert(f->conn, state_sql, "s|local|down|1|3|3|1");
    fixture_assert(f->conn, incidents_sql, "1|-|3|f|status|answered 503");
}

static void test_replay_after_a_rollback_folds_once(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b = batch_of(&claim, 0, "udd");

    batch_add_letter(b, 0, 5, "json", "no", NULL, 0, "{", 1, -1);
    f->deliver_fails = true;
    assert_refused(fixture_write(f, b), ERR_RETRY);
    fixture_assert(f->conn, state_sql, "s|local|unknown|-|-|0|-");
    fixture_assert(f->conn, incidents_sql, "");
    f->deliver_fails = false;
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, state_sql, "s|local|down|1|2|2|1");
    fixture_assert(f->conn, incidents_sql, "1|-|2|f|status|answered 503");
    batch_free(b);
}

static void test_deleted_row_of_state_is_made_again_from_the_rows(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b;

    store_checks(f, &claim, 0, "uudd");
    fixture_exec(f->conn, "DELETE FROM site_state");
    b = batch_of(&claim, 4, "d");
    assert_refused(fixture_write(f, b), ERR_RETRY);
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, state_sql, "s|local|down|2|4|3|2");
    batch_free(b);
}

/* --- Over all locations --- */

static void test_site_is_down_while_its_quorum_of_locations_is(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    insert_site(f, "s", "{\"quorum\": 2}");
    store_checks_at(f, &claim, "a", 0, "ud");
    store_checks_at(f, &claim, "b", 0, "uu");
    fixture_assert(f->conn, overall_sql, "");
    fixture_assert(f->conn, overall_open_sql, "-");
    store_checks_at(f, &claim, "b", 2, "d");
    fixture_assert(f->conn, overall_sql, "2|-|-|2|a,b|f");
    fixture_assert(f->conn, overall_open_sql, "2");
    store_checks_at(f, &claim, "c", 0, "uuud"); /* a third one changes nothing */
    store_checks_at(f, &claim, "a", 4, "D");
    fixture_assert(f->conn, overall_sql, "2|-|-|2|a,b|f");
    store_checks_at(f, &claim, "b", 5, "?");
    fixture_assert(f->conn, overall_sql, "2|-|-|2|a,b|f");
    store_checks_at(f, &claim, "b", 6, "u");
    fixture_assert(f->conn, overall_sql, "2|6|up|2|a,b|f");
    fixture_assert(f->conn, overall_open_sql, "-");
    store_checks_at(f, &claim, "a", 7, "d");
    fixture_assert(f->conn, overall_sql, "2|6|up|2|a,b|f\n7|-|-|2|a,c|f");
    fixture_assert(f->conn, "SELECT error_type, error_message FROM site_incidents LIMIT 1",
                   "status|answered 503");
}

static void test_one_location_and_no_quorum_is_the_site(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_checks(f, &claim, 0, "uddu ud");
    fixture_assert(f->conn, overall_sql, "1|3|up|1|local|f\n6|-|-|1|local|f");
    store_checks(f, &claim, 4, "d"); /* between successes: one more */
    fixture_assert(f->conn, overall_sql, "1|3|up|1|local|f\n4|5|up|1|local|f\n6|-|-|1|local|f");
}

static void test_late_success_withdraws_the_sites_incident(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    insert_site(f, "s", "{\"quorum\": 2, \"failures\": 2}");
    store_checks_at(f, &claim, "a", 0, "udd d");
    store_checks_at(f, &claim, "b", 0, "ud du");
    fixture_assert(f->conn, overall_sql, "3|4|up|2|a,b|f");
    store_checks_at(f, &claim, "b", 2, "u");
    fixture_assert(f->conn, overall_sql, "3|4|up|2|a,b|t");
    store_checks_at(f, &claim, "b", 5, "dd");
    fixture_assert(f->conn, overall_sql, "3|4|up|2|a,b|t\n6|-|-|2|a,b|f");
    store_checks_at(f, &claim, "a", 3, "u"); /* the other location's turn to have been up */
    fixture_assert(f->conn, overall_sql, "3|4|up|2|a,b|t\n6|-|-|2|a,b|t");
    store_checks_at(f, &claim, "a", 5, "d");
    fixture_assert(f->conn, overall_sql, "3|4|up|2|a,b|t\n6|-|-|2|a,b|f");
}

static void assert_stale(const struct fixture *f, const char *line)
{
    size_t len;
    char *text = metrics_render(f->metrics, METRICS_OPENMETRICS, &len);

    assert_non_null(strstr(text, line));
    free(text);
}

static void look_for_stale(struct fixture *f)
{
    struct err err;
    bool more;

    assert_ok(store_stale(f->store, &more, &err), err);
    assert_false(more);
}

/* Slots of the fixture are of yesterday; stale is what is 3 * 30 + 60 s old. */
static void test_stale_location_leaves_the_quorum_until_it_is_heard_of(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_checks(f, &claim, 0, "ud");
    fixture_assert(f->conn, overall_sql, "1|-|-|1|local|f");
    look_for_stale(f);
    assert_stale(f, "\nsitewatch_sites_stale 1\n");
    fixture_assert(f->conn, overall_sql, "1|151|stale|1|local|f");
    fixture_assert(f->conn, overall_open_sql, "-");
    fixture_assert(f->conn, incidents_sql, "1|-|1|f|status|answered 503");
    store_checks(f, &claim, 2, "d"); /* only the message was late: it has been down all the time */
    fixture_assert(f->conn, overall_sql, "1|-|-|1|local|f");
    look_for_stale(f);
    fixture_assert(f->conn, overall_sql, "1|152|stale|1|local|f");
    look_for_stale(f); /* once is enough */
    store_checks(f, &claim, 600, "u");
    fixture_assert(f->conn, overall_sql, "1|600|up|1|local|f");
    fixture_assert(f->conn, "SELECT count(silent_slot) FROM site_state", "0");
}

static void test_stale_location_does_not_make_up_a_quorum(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int now = (int)((clock_real_ns() / NS_PER_US - fixture_slot_us(0)) / US_PER_SEC);

    insert_site(f, "s", "{\"quorum\": 2}");
    store_checks_at(f, &claim, "gone", 0, "d");
    look_for_stale(f);
    store_checks_at(f, &claim, "here", now, "d");
    fixture_assert(f->conn, overall_sql, "");
    store_checks_at(f, &claim, "there", now, "d");
    fixture_assert(f->conn,
                   "SELECT (SELECT string_agg(name, ',' ORDER BY name) FROM locations"
                   " WHERE location_id = ANY (location_ids)) FROM site_incidents",
                   "here,there");
    look_for_stale(f);
    fixture_assert(f->conn, "SELECT closed_by FROM site_incidents", "-");
    assert_stale(f, "\nsitewatch_sites_stale 1\n");
}

static void test_another_quorum_holds_from_then_on(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int now = (int)((clock_real_ns() / NS_PER_US - fixture_slot_us(0)) / US_PER_SEC);
    static const char sql[] = "SELECT closed_by, quorum, withdrawn FROM site_incidents"
                              " ORDER BY incident_id";

    store_checks_at(f, &claim, "a", now, "d");
    fixture_assert(f->conn, sql, "-|1|f");
    fixture_exec(f->conn, "UPDATE websites SET config = '{\"quorum\": 2}'");
    look_for_stale(f);
    fixture_assert(f->conn, sql, "quorum|1|f");
    store_checks_at(f, &claim, "b", now - 1, "u");
    store_checks_at(f, &claim, "b", now, "d"); /* by the clock it was closed after this slot */
    fixture_assert(f->conn, sql, "quorum|1|f\n-|2|f");
    fixture_exec(f->conn, "UPDATE websites SET config = '{\"quorum\": \"x\"}'");
    look_for_stale(f);
    fixture_assert(f->conn, sql, "quorum|1|f\nquorum|2|f\n-|1|f");
}

static void test_what_an_earlier_consumer_left_is_counted(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int now = (int)((clock_real_ns() / NS_PER_US - fixture_slot_us(0)) / US_PER_SEC);

    store_checks(f, &claim, now, "d");
    fixture_exec(f->conn, "TRUNCATE site_incidents, site_overall");
    look_for_stale(f);
    fixture_assert(f->conn, "SELECT count(*) FROM site_incidents WHERE closed_slot IS NULL", "1");
    fixture_exec(f->conn, "UPDATE site_state SET status = 'up', incident_slot = NULL;"
                          "UPDATE incidents SET closed_slot = opened_slot + interval '1 s'");
    look_for_stale(f);
    fixture_assert(f->conn, "SELECT closed_by FROM site_incidents", "up");
    fixture_assert(f->conn, overall_open_sql, "-");
}

/* --- Any order --- */

struct model {
    struct event events[EVENTS];
    size_t count;
    int failures, quorum;
    int seconds[EVENTS];
    int location[EVENTS];
};

static const char *const location_names[LOCATIONS] = {"l0", "l1", "l2"};

static int draw(unsigned *seed, int below)
{
    return rand_r(seed) / 7 % below;
}

static void model_init(struct model *m, const char *site, unsigned *seed)
{
    m->count = 0;
    m->failures = 1 + draw(seed, 3);
    m->quorum = 1 + draw(seed, LOCATIONS);
    for (int i = 0; i < EVENTS; i++) {
        int slot = i / ATTEMPTS % SLOTS;
        int location = i / ATTEMPTS / SLOTS;
        struct event e = fixture_event(site, fixture_slot_us(slot));

        if (draw(seed, 4) == 0) {
            continue;
        }
        e.attempt = 1 + i % ATTEMPTS;
        e.final = draw(seed, 3) != 0;
        e.location = location_names[location];
        e.status = (enum check_status[]){CHECK_UP, CHECK_DEGRADED, CHECK_DOWN, CHECK_DOWN,
                                         CHECK_UNKNOWN}[draw(seed, 5)];
        if (e.status == CHECK_DOWN) {
            e.error = ERROR_URL + (enum error_type)draw(seed, 20);
        }
        m->seconds[m->count] = slot;
        m->location[m->count] = location;
        m->events[m->count++] = e;
    }
}

/* The first final check of a slot, or NULL. Events lie in the order of their attempts. */
static const struct event *check_at(const struct model *m, int location, int slot)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->seconds[i] == slot && m->location[i] == location && m->events[i].final) {
            return &m->events[i];
        }
    }
    return NULL;
}

struct told {
    char state[512], incidents[2048], overall[2048];
    int opened[LOCATIONS][SLOTS]; /* slot that opened the incident that lasts in this one, or -1 */
    const char *cause[LOCATIONS][SLOTS];
};

static void tell(char *text, size_t size, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + len, size - len, format, args);
    va_end(args);
}

static void number_or_none(char *text, int value)
{
    snprintf(text, 16, value < 0 ? "-" : "%d", value);
}

/* By itself and as plainly as can be: what the rows of a location say. */
static void tell_location(const struct model *m, int location, struct told *told)
{
    const struct event *last = NULL;
    int since = -1, last_slot = -1, failures = 0, opened = -1;
    const char *cause = "";
    char text[16];

    for (int slot = 0; slot < SLOTS; slot++) {
        const struct event *e = check_at(m, location, slot);

        told->opened[location][slot] = opened;
        told->cause[location][slot] = cause;
        if (e == NULL) {
            continue;
        }
        since = last == NULL || last->status != e->status ? slot : since;
        last = e;
        last_slot = slot;
        if (e->status == CHECK_DOWN && ++failures >= m->failures && opened < 0) {
            opened = slot;
            cause = error_type_name(e->error);
        }
        if (e->status == CHECK_UP || e->status == CHECK_DEGRADED) {
            if (opened >= 0) {
                tell(told->incidents, sizeof(told->incidents), "%s|%d|%d|%d|%s\n",
                     location_names[location], opened, slot, failures, cause);
            }
            failures = 0;
            opened = -1;
        }
        told->opened[location][slot] = opened;
        told->cause[location][slot] = cause;
    }
    if (opened >= 0) {
        tell(told->incidents, sizeof(told->incidents), "%s|%d|-|%d|%s\n", location_names[location],
             opened, failures, cause);
    }
    number_or_none(text, opened);
    if (last != NULL) {
        tell(told->state, sizeof(told->state), "%s|%s|%d|%d|%d|%s\n", location_names[location],
             check_status_name(last->status), since, last_slot, failures, text);
    }
}

/* Likewise, of all locations together. */
static void tell_site(const struct model *m, struct told *told)
{
    bool was_down = false;

    for (int slot = 0; slot < SLOTS; slot++) {
        int down = 0, newest = -1;
        const char *cause = "";
        char names[64] = "";

        for (int location = 0; location < LOCATIONS; location++) {
            int opened = told->opened[location][slot];

            if (opened >= 0) {
                tell(names, sizeof(names), "%s%s", down == 0 ? "" : ",", location_names[location]);
                down++;
            }
            if (opened > newest) {
                newest = opened;
                cause = told->cause[location][slot];
            }
        }
        if (!was_down && down >= m->quorum) {
            tell(told->overall, sizeof(told->overall), "%d|%s|%s|", slot, names, cause);
            was_down = true;
        } else if (was_down && down < m->quorum) {
            tell(told->overall, sizeof(told->overall), "%d|up\n", slot);
            was_down = false;
        }
    }
    if (was_down) {
        tell(told->overall, sizeof(told->overall), "-|-\n");
    }
}

static void cut_newline(char *text)
{
    size_t len = strlen(text);

    if (len > 0) {
        text[len - 1] = '\0';
    }
}

static void shuffle(struct model *m, size_t *order, unsigned *seed)
{
    for (size_t i = 0; i < m->count; i++) {
        size_t j = (size_t)draw(seed, (int)i + 1);

        order[i] = order[j];
        order[j] = i;
    }
}

/* In batches of any size, with some of the events again. */
static void store_in_any_order(struct fixture *f, struct store *s, struct store_claim *claim,
                               struct model *m, unsigned *seed)
{
    size_t order[EVENTS];
    struct batch *b = batch_new(1000, 1 << 20);

    shuffle(m, order, seed);
    for (size_t i = 0; i < m->count; i++) {
        uint32_t p =
            batch_partition(b, claim->topic, claim->partition, claim->epoch, claim->next_offset);

        batch_add_row(b, p, b->partitions[p].next, &m->events[order[i]]);
        if (draw(seed, 20) == 0) {
            batch_add_row(b, p, b->partitions[p].next,
                          &m->events[order[(size_t)draw(seed, (int)i + 1)]]);
        }
        if (i + 1 == m->count || draw(seed, 6) == 0) {
            claim->next_offset = b->partitions[p].next;
            assert_done(fixture_write_to(f, s, b));
            batch_clear(b);
        }
    }
    batch_free(b);
}

/* A site of its own, whose checks were stored in any order, and what is to be told of it. */
struct round {
    struct store *store;
    struct store_claim claim;
    char site[16];
    struct told told;
};

static void rounds_begin(struct fixture *f, struct round *r)
{
    struct err err;

    *r = (struct round){.store = fixture_store(f, f->dsn, 1000)};
    assert_ok(store_connect(r->store, &err), err);
    r->claim = fixture_claim(r->store, "t", 0);
    fixture_exec(f->conn, "INSERT INTO locations (name) VALUES ('l0'), ('l1'), ('l2')");
}

static void play_round(struct fixture *f, struct round *r, unsigned number)
{
    static struct model m;
    unsigned seed = number;
    char config[64];

    snprintf(r->site, sizeof(r->site), "r%u", number);
    r->told = (struct told){0};
    model_init(&m, r->site, &seed);
    snprintf(config, sizeof(config), "{\"failures\": %d, \"quorum\": %d}", m.failures, m.quorum);
    insert_site(f, r->site, config);
    store_in_any_order(f, r->store, &r->claim, &m, &seed);
    for (int location = 0; location < LOCATIONS; location++) {
        tell_location(&m, location, &r->told);
    }
    tell_site(&m, &r->told);
    cut_newline(r->told.overall);
    cut_newline(r->told.state);
    cut_newline(r->told.incidents);
    print_message("  seed %u\n", number);
}

static void test_state_is_what_the_rows_say(void **state)
{
    struct fixture *f = *state;
    struct round r;

    rounds_begin(f, &r);
    for (unsigned number = 0; number < ROUNDS; number++) {
        char sql[1024];

        play_round(f, &r, number);
        snprintf(sql, sizeof(sql),
                 "SELECT l.name, status, extract(epoch FROM since)::bigint %% 86400,"
                 " extract(epoch FROM last_slot)::bigint %% 86400, failures_in_a_row,"
                 " extract(epoch FROM incident_slot)::bigint %% 86400 FROM site_state"
                 " JOIN websites w USING (website_id) JOIN locations l USING (location_id)"
                 " WHERE w.name = '%s' AND last_slot IS NOT NULL ORDER BY l.name",
                 r.site);
        fixture_assert(f->conn, sql, r.told.state);
        snprintf(sql, sizeof(sql),
                 "SELECT l.name, extract(epoch FROM opened_slot)::bigint %% 86400,"
                 " extract(epoch FROM closed_slot)::bigint %% 86400, checks, error_type"
                 " FROM incidents JOIN websites w USING (website_id)"
                 " JOIN locations l USING (location_id) WHERE w.name = '%s' AND NOT withdrawn"
                 " ORDER BY l.name, opened_slot",
                 r.site);
        fixture_assert(f->conn, sql, r.told.incidents);
    }
    store_free(r.store);
}

static void test_a_site_is_what_its_locations_say(void **state)
{
    struct fixture *f = *state;
    struct round r;

    rounds_begin(f, &r);
    for (unsigned number = ROUNDS; number < ROUNDS + ROUNDS / 2; number++) {
        char sql[1024];

        play_round(f, &r, number);
        snprintf(sql, sizeof(sql),
                 "SELECT extract(epoch FROM opened_slot)::bigint %% 86400, (SELECT string_agg(name,"
                 "   ',' ORDER BY name) FROM locations WHERE location_id = ANY (location_ids)),"
                 " error_type, extract(epoch FROM closed_slot)::bigint %% 86400, closed_by"
                 " FROM site_incidents JOIN websites w USING (website_id) WHERE w.name = '%s'"
                 " AND NOT withdrawn ORDER BY opened_slot",
                 r.site);
        fixture_assert(f->conn, sql, r.told.overall);
    }
    fixture_assert(f->conn,
                   "SELECT count(*) FROM site_overall o WHERE incident_slot IS DISTINCT"
                   " FROM (SELECT opened_slot FROM site_incidents i WHERE i.website_id ="
                   " o.website_id AND closed_slot IS NULL AND NOT withdrawn)",
                   "0");
    store_free(r.store);
}

/* --- Two workers --- */

#define TURNS 20
#define SITES 50

/* The same sites as another, in batches of its own, from a topic of its own. */
struct writer {
    struct fixture *f;
    const char *topic;
    int parity; /* 1: the sites the other way round */
    /* What it writes of a site in a turn. */
    struct event (*event)(const struct writer *w, const char *site, int turn);
    int failures;
};

static void *run_writer(void *context)
{
    struct writer *w = context;
    struct store *s = fixture_store(w->f, w->f->dsn, 1000);
    struct batch *b = batch_new(1000, 1 << 20);
    struct store_claim claim = {.topic = w->topic};
    struct err err;

    w->failures = store_connect(s, &err) < 0 || store_claim(s, &claim, &err) < 0;
    for (int turn = 0; turn < TURNS; turn++) {
        uint32_t p = batch_partition(b, w->topic, 0, claim.epoch, claim.next_offset);

        for (int i = 0; i < SITES; i++) {
            char site[16];

            snprintf(site, sizeof(site), "s%02d", w->parity == 0 ? i : SITES - 1 - i);

            struct event e = w->event(w, site, turn);

            batch_add_row(b, p, b->partitions[p].next, &e);
        }
        struct written done = fixture_write_to(w->f, s, b);

        w->failures += done.rc < 0 || done.outcome != STORE_DONE;
        claim.next_offset = b->partitions[p].next;
        batch_clear(b);
    }
    batch_free(b);
    store_free(s);
    return NULL;
}

/* Every second slot is one's, and up, the others are the other's, and down. */
static struct event every_second_slot(const struct writer *w, const char *site, int turn)
{
    struct event e = fixture_event(site, fixture_slot_us(2 * turn + w->parity));

    e.status = w->parity == 0 ? CHECK_UP : CHECK_DOWN;
    return e;
}

static void test_two_workers_with_the_same_sites_take_turns(void **state)
{
    struct fixture *f = *state;
    struct writer writers[2] = {
        {.f = f, .topic = "success", .event = every_second_slot},
        {.f = f, .topic = "failure", .event = every_second_slot, .parity = 1}};
    pthread_t threads[2];

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_writer, &writers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].failures, 0); /* no deadlock either */
    }
    fixture_assert(f->conn,
                   "SELECT count(*), min(status), max(status), min(failures_in_a_row),"
                   " max(failures_in_a_row) FROM site_state",
                   "50|down|down|1|1");
    fixture_assert(f->conn,
                   "SELECT count(*), count(closed_slot), sum(checks) FROM incidents"
                   " WHERE NOT withdrawn",
                   "1000|950|1000");
}

/* Both locations of the same sites turn at the same slots, down and up by turns. */
static struct event same_slot_elsewhere(const struct writer *w, const char *site, int turn)
{
    struct event e = fixture_event(site, fixture_slot_us(turn));

    e.location = w->topic;
    e.status = turn % 2 == 0 ? CHECK_DOWN : CHECK_UP;
    return e;
}

static void test_two_locations_that_turn_at_once_are_both_counted(void **state)
{
    struct fixture *f = *state;
    struct writer writers[2] = {
        {.f = f, .topic = "here", .event = same_slot_elsewhere},
        {.f = f, .topic = "there", .event = same_slot_elsewhere, .parity = 1}};
    pthread_t threads[2];

    for (int i = 0; i < SITES; i++) {
        char site[16];

        snprintf(site, sizeof(site), "s%02d", i);
        insert_site(f, site, "{\"quorum\": 2}");
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_writer, &writers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].failures, 0); /* no deadlock either */
    }
    fixture_assert(f->conn,
                   "SELECT count(*), count(closed_slot), count(DISTINCT website_id),"
                   " count(DISTINCT opened_slot), max(closed_slot - opened_slot)"
                   " FROM site_incidents WHERE NOT withdrawn",
                   "500|500|50|10|00:00:01");
    fixture_assert(f->conn, "SELECT count(*), count(incident_slot) FROM site_overall", "50|0");
}

/* A second location whose batch meets the first one's between its counting and its COMMIT. */
struct meeting {
    struct fixture *f;
    struct store *store;
    struct batch *batch;
    pthread_t thread;
    struct written done;
    atomic_bool ended;
    bool waited;
};

static void *write_second(void *context)
{
    struct meeting *m = context;

    m->done = fixture_write_to(m->f, m->store, m->batch);
    atomic_store(&m->ended, true);
    return NULL;
}

static void wait_for_a_lock(struct meeting *m)
{
    while (!m->waited && !atomic_load(&m->ended)) {
        PGresult *result =
            PQexec(m->f->conn, "SELECT pg_stat_clear_snapshot();"
                               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type ="
                               " 'Lock' AND datname = current_database()");

        m->waited = strcmp(PQgetvalue(result, 0, 0), "1") == 0;
        PQclear(result);
    }
}

static int deliver_while_they_meet(void *context, struct batch *batch, struct err *err)
{
    struct meeting *m = context;

    (void)err;
    batch->letters[0].in_topic = true;
    assert_int_equal(pthread_create(&m->thread, NULL, write_second, m), 0);
    wait_for_a_lock(m);
    return 0;
}

static void test_second_location_waits_until_the_first_is_counted(void **state)
{
    struct fixture *f = *state;
    struct meeting m = {.f = f, .store = fixture_store(f, f->dsn, 100)};
    struct written first = {.outcome = STORE_DONE};
    struct store_claim claims[2];
    struct batch *b;
    struct err err;

    insert_site(f, "s", "{\"quorum\": 2}");
    assert_ok(store_connect(m.store, &err), err);
    claims[0] = fixture_claim(f->store, "first", 0);
    claims[1] = fixture_claim(m.store, "second", 0);
    store_checks_at(f, &claims[0], "a", 0, "du"); /* all rows that are locked are there */
    m.batch = batch_of(&claims[1], 0, "du");
    m.batch->rows[0].event.location = m.batch->rows[1].event.location = "b";
    assert_done(fixture_write_to(f, m.store, m.batch));
    claims[1].next_offset = m.batch->partitions[0].next;
    batch_free(m.batch);

    m.batch = batch_of(&claims[1], 2, "d");
    m.batch->rows[0].event.location = "b";
    b = batch_of(&claims[0], 2, "d");
    b->rows[0].event.location = "a";
    batch_add_letter(b, 0, b->partitions[0].next, "json", "no", NULL, 0, "{", 1, -1);
    first.rc = store_write(f->store, b, deliver_while_they_meet, &m, &first.outcome, first.lost,
                           &first.lost_count, &first.err);
    pthread_join(m.thread, NULL);
    assert_done(first);
    assert_done(m.done);
    assert_true(m.waited);
    fixture_assert(f->conn, overall_sql, "0|1|up|2|a,b|f\n2|-|-|2|a,b|f");
    batch_free(b);
    batch_free(m.batch);
    store_free(m.store);
}

/* --- What is kept of each site --- */

static const char standing_sql[] =
    "SELECT t.status, t.lapses_at = 'infinity', (SELECT string_agg(s.stale::text, ',') FROM"
    "   site_state s WHERE s.website_id = t.website_id), site_standing_holds(),"
    " (SELECT count(*) FROM site_doubts) FROM site_standing t";

static void test_a_location_that_is_heard_of_again_leaves_its_site_in_doubt(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int now = (int)((clock_real_ns() / NS_PER_US - fixture_slot_us(0)) / US_PER_SEC);

    insert_site(f, "s", "{}");
    store_checks(f, &claim, 0, "u");
    look_for_stale(f);
    fixture_assert(f->conn, standing_sql, "unknown|t|true|t|0");
    store_checks(f, &claim, now, "u"); /* the same again, but for the silence in between */
    fixture_assert(f->conn, standing_sql, "unknown|t|false|t|1");
    look_for_stale(f);
    fixture_assert(f->conn, standing_sql, "up|f|false|t|0");
    store_checks(f, &claim, now + 1, "u");
    fixture_assert(f->conn, standing_sql, "up|f|false|t|0");
    store_checks(f, &claim, now + 2, "D");
    fixture_assert(f->conn, standing_sql, "up|f|false|t|1");
    look_for_stale(f);
    fixture_assert(f->conn, standing_sql, "degraded|f|false|t|0");
    fixture_exec(f->conn, "DELETE FROM site_state"); /* as of a location that is given up */
    fixture_assert(f->conn,
                   "SELECT website_id = (SELECT website_id FROM websites) FROM site_doubts", "t");
    look_for_stale(f);
    fixture_assert(f->conn, standing_sql, "unknown|t|-|t|0");
    fixture_exec(f->conn, "UPDATE websites SET deleted_at = now()");
    look_for_stale(f);
    fixture_assert(f->conn, standing_sql, "");
}

static void *look_second(void *context)
{
    struct meeting *m = context;
    bool more;

    m->done.rc = store_stale(m->store, &more, &m->done.err);
    atomic_store(&m->ended, true);
    return NULL;
}

/* Of a batch and a turn that meet, the second one to have the row sees what the first did. */
static void test_a_batch_and_a_turn_that_meet_agree(void **state)
{
    struct fixture *f = *state;
    struct meeting m = {.f = f, .store = f->store};
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int now = (int)((clock_real_ns() / NS_PER_US - fixture_slot_us(0)) / US_PER_SEC);

    insert_site(f, "s", "{}");
    store_checks(f, &claim, 0, "u");
    fixture_exec(f->conn, "BEGIN; SELECT site_standing_turn(10)");
    m.batch = batch_of(&claim, now, "u");
    assert_int_equal(pthread_create(&m.thread, NULL, write_second, &m), 0);
    wait_for_a_lock(&m);
    fixture_exec(f->conn, "COMMIT");
    pthread_join(m.thread, NULL);
    assert_done(m.done);
    assert_true(m.waited);
    fixture_assert(f->conn, standing_sql, "unknown|t|false|t|1");
    batch_free(m.batch);

    fixture_exec(f->conn, "UPDATE site_state SET last_slot = now() - interval '1 day'");
    fixture_exec(f->conn, "BEGIN; UPDATE site_state SET last_slot = now()");
    m.waited = false;
    atomic_store(&m.ended, false);
    assert_int_equal(pthread_create(&m.thread, NULL, look_second, &m), 0);
    wait_for_a_lock(&m);
    fixture_exec(f->conn, "COMMIT");
    pthread_join(m.thread, NULL);
    assert_ok(m.done.rc, m.done.err);
    assert_true(m.waited);
    fixture_assert(f->conn, standing_sql, "up|f|false|t|0");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_incident_opens_and_closes),
        TEST(test_incident_opens_after_the_sites_number_of_failures),
        TEST(test_late_success_withdraws_and_splits),
        TEST(test_only_first_final_attempt_counts),
        TEST(test_earlier_attempt_that_comes_late_replaces_the_later),
        TEST(test_duplicates_are_not_folded_twice),
        TEST(test_replay_after_a_rollback_folds_once),
        TEST(test_deleted_row_of_state_is_made_again_from_the_rows),
        TEST(test_site_is_down_while_its_quorum_of_locations_is),
        TEST(test_one_location_and_no_quorum_is_the_site),
        TEST(test_late_success_withdraws_the_sites_incident),
        TEST(test_stale_location_leaves_the_quorum_until_it_is_heard_of),
        TEST(test_stale_location_does_not_make_up_a_quorum),
        TEST(test_another_quorum_holds_from_then_on),
        TEST(test_what_an_earlier_consumer_left_is_counted),
        TEST(test_two_workers_with_the_same_sites_take_turns),
        TEST(test_second_location_waits_until_the_first_is_counted),
        TEST(test_two_locations_that_turn_at_once_are_both_counted),
        TEST(test_state_is_what_the_rows_say),
        TEST(test_a_site_is_what_its_locations_say),
        TEST(test_a_location_that_is_heard_of_again_leaves_its_site_in_doubt),
        TEST(test_a_batch_and_a_turn_that_meet_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
