/*
 * Stories: a line of acts on a schedule and what each must give. Then a random walk beside a
 * model that keeps every slot it was given.
 *
 * Times are wall-clock milliseconds; OFFSET_MS lies between them and the monotonic clock.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "producer/schedule.h"

#define OFFSET_MS INT64_C(1000000)
#define ACTS_MAX 24
#define SITES_MAX 4
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

enum act_type { END, ADD, REMOVE, TAKE, NOTHING, NEXT, STEP, COUNT };

/* The clock of a story only knows its wall time, so a step is told by where it ends. */
struct act {
    enum act_type type;
    int64_t now; /* wall-clock ms; STEP: the wall-clock before it */
    int site;    /* index; its tag */
    int64_t a, b, c;
};

/* site, phase, interval, first slot (0: none) */
#define A(now, site, phase, interval, first)                                                       \
    {                                                                                              \
        ADD, now, site, phase, interval, first                                                     \
    }
#define R(now, site)                                                                               \
    {                                                                                              \
        REMOVE, now, site, 0, 0, 0                                                                 \
    }
/* site, slot, missed, first missed */
#define T(now, site, slot, missed, first)                                                          \
    {                                                                                              \
        TAKE, now, site, slot, missed, first                                                       \
    }
#define N(now)                                                                                     \
    {                                                                                              \
        NOTHING, now, 0, 0, 0, 0                                                                   \
    }
#define DUE(at)                                                                                    \
    {                                                                                              \
        NEXT, 0, 0, at, 0, 0                                                                       \
    }
#define S(now, to)                                                                                 \
    {                                                                                              \
        STEP, now, 0, to, 0, 0                                                                     \
    }
#define C(count)                                                                                   \
    {                                                                                              \
        COUNT, 0, 0, count, 0, 0                                                                   \
    }

static const struct {
    const char *name;
    struct act acts[ACTS_MAX];
} stories[] = {
    {"an empty schedule has nothing to do, ever", {N(0), DUE(TIME_NEVER), C(0), S(0, 50), N(60)}},
    {"a schedule whose last site was removed is empty",
     {A(1000, 0, 0, 10, 0), C(1), R(1001, 0), C(0), DUE(TIME_NEVER), N(2000)}},
    {"a site waits for its next grid slot, is due then, and once",
     {A(1003, 0, 7, 10, 0), DUE(1007), N(1006), T(1007, 0, 1007, 0, 0), N(1007), DUE(1017)}},
    {"a site added on its slot waits for the one after", {A(1007, 0, 7, 10, 0), DUE(1017)}},
    {"a site added just before its slot gets it", {A(1006, 0, 7, 10, 0), DUE(1007)}},
    {"a phase of zero and one of interval - 1 are on the grid",
     {A(1000, 0, 0, 10, 0), A(1000, 1, 9, 10, 0), T(1009, 1, 1009, 0, 0), T(1010, 0, 1010, 0, 0)}},
    {"a late site is given its latest slot, and what was skipped is counted",
     {A(1000, 0, 0, 10, 0), T(1045, 0, 1040, 3, 1010), N(1049), T(1050, 0, 1050, 0, 0)}},
    {"a site late by a whole interval is given the slot of this moment",
     {A(1000, 0, 0, 10, 0), T(1020, 0, 1020, 1, 1010)}},
    {"the most overdue site comes first",
     {A(1000, 0, 5, 30, 0), A(1000, 1, 1, 30, 0), A(1000, 2, 3, 30, 0), T(1029, 1, 1021, 0, 0),
      T(1029, 2, 1023, 0, 0), T(1029, 0, 1025, 0, 0), N(1029), T(1081, 1, 1081, 1, 1051)}},
    {"a new site is due at its first slot off the grid, then on it",
     {A(1003, 0, 0, 10, 1003), DUE(1003), T(1003, 0, 1003, 0, 0), DUE(1010),
      T(1010, 0, 1010, 0, 0)}},
    {"a first slot that is on the grid is not given twice",
     {A(1010, 0, 0, 10, 1010), T(1010, 0, 1010, 0, 0), N(1010), DUE(1020)}},
    {"a first slot in the future is waited for",
     {A(1003, 0, 0, 10, 1027), N(1026), T(1027, 0, 1027, 0, 0), DUE(1030)}},
    {"a first slot found late is missed together with those after it",
     {A(1003, 0, 0, 10, 1003), T(1035, 0, 1030, 3, 1003), DUE(1040)}},
    {"a first slot found late within its interval is given",
     {A(1003, 0, 0, 10, 1003), T(1009, 0, 1003, 0, 0), DUE(1010)}},
    {"a removed site is not given, and its entry is used again",
     {A(1000, 0, 1, 10, 0), A(1000, 1, 2, 10, 0), A(1000, 2, 3, 10, 0), R(1000, 1), C(2),
      A(1000, 3, 4, 10, 0), C(3), T(1001, 0, 1001, 0, 0), N(1002), T(1003, 2, 1003, 0, 0),
      T(1004, 3, 1004, 0, 0)}},

    {"a step forward: the next grid slot by the new time, what it leapt over is not missed",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), S(1012, 5004), N(5009),
      T(5010, 0, 5010, 0, 0)}},
    {"a slot that was due before a step and not taken is missed",
     {A(1000, 0, 0, 10, 0), S(1025, 5004), DUE(5010), T(5010, 0, 5010, 2, 1010),
      T(5020, 0, 5020, 0, 0)}},
    {"what was missed before two steps and after them adds up",
     {A(1000, 0, 0, 10, 0), S(1010, 2005), S(2010, 3005), T(3025, 0, 3020, 3, 1010)}},
    {"a step of nothing changes nothing", {A(1000, 0, 0, 10, 0), S(1005, 1005), DUE(1010)}},
    {"a step back over no used slot leaves the grid alone",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), S(1018, 1012), T(1020, 0, 1020, 0, 0)}},
    {"a step back to a used slot: the next is a later one",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), S(1018, 1010), T(1020, 0, 1020, 0, 0)}},
    {"a step back: used slots get + 1 ms, later ones are on the grid",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), T(1020, 0, 1020, 0, 0), S(1025, 1005), N(1010),
      T(1011, 0, 1011, 0, 0), T(1021, 0, 1021, 0, 0), T(1030, 0, 1030, 0, 0)}},
    {"each step back over the same slot adds one more",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), S(1015, 1005), T(1011, 0, 1011, 0, 0),
      S(1015, 1005), T(1012, 0, 1012, 0, 0), S(1015, 1011), DUE(1020), S(1012, 1005),
      T(1014, 0, 1014, 0, 0), T(1020, 0, 1020, 0, 0)}},
    {"a step back to a used slot and not before it does not check it again",
     {A(1000, 0, 0, 10, 0), A(1000, 1, 8, 10, 0), T(1008, 1, 1008, 0, 0), T(1010, 0, 1010, 0, 0),
      T(1018, 1, 1018, 0, 0), S(1018, 1010), T(1019, 1, 1019, 0, 0), T(1020, 0, 1020, 0, 0)}},
    {"steps back over slots that each were used once add 1 ms each time",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), S(1011, 1009), T(1011, 0, 1011, 0, 0),
      T(1020, 0, 1020, 0, 0), S(1021, 1019), T(1021, 0, 1021, 0, 0), T(1030, 0, 1030, 0, 0),
      S(1031, 1029), T(1031, 0, 1031, 0, 0), S(1032, 1009), T(1012, 0, 1012, 0, 0),
      T(1022, 0, 1022, 0, 0), T(1032, 0, 1032, 0, 0), T(1040, 0, 1040, 0, 0)}},
    {"a late poll after a step back counts used slots like others",
     {A(1000, 0, 0, 10, 0), T(1010, 0, 1010, 0, 0), T(1020, 0, 1020, 0, 0), S(1025, 1005),
      T(1035, 0, 1030, 2, 1011)}},
    {"+ 1 ms leaves out the first slot off the grid",
     {A(1001, 0, 0, 10, 1001), T(1001, 0, 1001, 0, 0), T(1010, 0, 1010, 0, 0), S(1015, 999),
      T(1002, 0, 1002, 0, 0), T(1012, 0, 1012, 0, 0), S(1015, 999), T(1003, 0, 1003, 0, 0)}},
    {"with no free millisecond left, used slots are left out",
     {A(1000, 0, 0, 3, 0), T(1002, 0, 1002, 0, 0), S(1003, 1000), T(1003, 0, 1003, 0, 0),
      S(1003, 1000), T(1004, 0, 1004, 0, 0), S(1004, 1000), N(1004), T(1005, 0, 1005, 0, 0)}},
    {"a new site that waits for its first slot is still due at once after a step back",
     {A(1003, 0, 0, 10, 1003), S(1003, 503), T(503, 0, 503, 0, 0), T(510, 0, 510, 0, 0)}},
    {"and after a step forward, with the lateness it has",
     {A(1003, 0, 0, 10, 1003), S(1005, 9005), T(9005, 0, 9003, 0, 0), T(9010, 0, 9010, 0, 0)}},
    {"a first slot in the future keeps its distance over a step",
     {A(1000, 0, 0, 10, 1025), S(1005, 9005), N(9024), T(9025, 0, 9025, 0, 0)}},
    {"the order is right after a step",
     {A(1000, 0, 5, 30, 0), A(1000, 1, 1, 30, 0), A(1000, 2, 3, 30, 0), S(1002, 2014),
      T(2041, 0, 2015, 0, 0), T(2041, 1, 2041, 0, 0), T(2043, 2, 2043, 0, 0)}},
};

static int64_t mono_ns(int64_t wall_ms, int64_t offset_ms)
{
    return (wall_ms - offset_ms) * NS_PER_MS;
}

static void expect_turn(struct schedule *s, const struct act *act, int64_t now_ns,
                        const uint32_t *entries, int *sites)
{
    struct schedule_turn turn;

    assert_true(schedule_take_due(s, now_ns, &turn));
    assert_ptr_equal(turn.tag, &sites[act->site]);
    assert_int_equal(turn.entry, entries[act->site]);
    assert_int_equal(turn.slot_ms, act->a);
    assert_int_equal(turn.missed, act->b);
    assert_int_equal(turn.missed_slot_ms, act->c);
    assert_int_equal(turn.lag_us, (act->now - act->a) * US_PER_MS);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(stories); i++) {
        int64_t offset_ms = OFFSET_MS;
        struct schedule *s = schedule_new(offset_ms * NS_PER_MS);
        uint32_t entries[SITES_MAX];
        int sites[SITES_MAX];

        print_message("  %s\n", stories[i].name);
        for (const struct act *act = stories[i].acts; act->type != END; act++) {
            int64_t now_ns = mono_ns(act->now, offset_ms);
            struct schedule_turn turn;
            int64_t due_ns;

            switch (act->type) {
            case ADD:
                entries[act->site] =
                    schedule_add(s, act->a, act->b, act->c, &sites[act->site], now_ns);
                break;
            case REMOVE:
                schedule_remove(s, entries[act->site]);
                break;
            case TAKE:
                expect_turn(s, act, now_ns, entries, sites);
                break;
            case NOTHING:
                assert_false(schedule_take_due(s, now_ns, &turn));
                break;
            case NEXT:
                due_ns = act->a == TIME_NEVER ? TIME_NEVER : mono_ns(act->a, offset_ms);
                assert_int_equal(schedule_next_due_ns(s), due_ns);
                break;
            case STEP:
                offset_ms += act->a - act->now;
                schedule_step(s, offset_ms * NS_PER_MS, now_ns);
                break;
            case COUNT:
                assert_int_equal(schedule_count(s), act->a);
                break;
            case END:
                break;
            }
        }
        schedule_free(s);
    }
    schedule_free(NULL);
}

static void test_below_a_millisecond(void **state)
{
    int64_t offset_ns = OFFSET_MS * NS_PER_MS + 700000; /* the clocks differ by a part of one */
    struct schedule *s = schedule_new(offset_ns);
    int64_t slot_ns = 2000 * NS_PER_MS - offset_ns;
    struct schedule_turn turn;

    (void)state;
    print_message("  a slot is due at its nanosecond, not before, and lag is told in us\n");
    schedule_add(s, 0, 1000, 0, NULL, slot_ns - 1);
    assert_int_equal(schedule_next_due_ns(s), slot_ns);
    assert_false(schedule_take_due(s, slot_ns - 1, &turn));
    assert_true(schedule_take_due(s, slot_ns + 1999, &turn));
    assert_int_equal(turn.slot_ms, 2000);
    assert_int_equal(turn.lag_us, 1);
    print_message("  a clock set before 1970 has slots too\n");
    schedule_step(s, -5500 * NS_PER_MS - slot_ns, slot_ns);
    assert_int_equal(schedule_next_due_ns(s), slot_ns + 501 * NS_PER_MS);
    assert_true(schedule_take_due(s, slot_ns + 501 * NS_PER_MS, &turn));
    assert_int_equal(turn.slot_ms, -4999); /* every slot up to 2000 counts as used */
    schedule_free(s);
}

/* --- A random walk --- */

#define WALK_SITES 12
#define WALK_STEPS 6000
#define WALK_SEEDS 12
#define SLOTS_MAX 20000

struct model {
    bool live;
    bool waits_first;
    uint32_t entry;
    int64_t phase, interval, first;
    int64_t *slots; /* every slot that it was given */
    size_t slots_count;
    int64_t last_slot; /* given, or since when it is there; for walks without a step back */
    uint64_t missed;
};

struct walk {
    uint64_t random;
    int64_t mono_ms, offset_ms;
    int64_t steps_back;
    bool back; /* whether this walk steps back */
    bool step; /* whether this walk steps at all */
    struct schedule *s;
    struct model models[WALK_SITES];
};

static int64_t below(struct walk *w, int64_t limit)
{
    w->random ^= w->random << 13; /* xorshift64 */
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (int64_t)(w->random % (uint64_t)limit);
}

static int64_t wall_ms(const struct walk *w)
{
    return w->mono_ms + w->offset_ms;
}

static void walk_add(struct walk *w, struct model *m)
{
    static const int64_t intervals[] = {200, 1000, 5000, 7919, 60000};

    m->interval = intervals[below(w, (int64_t)ROWS(intervals))];
    m->phase = below(w, m->interval);
    m->waits_first = below(w, 2) == 0;
    m->first = m->waits_first ? wall_ms(w) + below(w, 3) * below(w, 2000) : 0;
    m->slots_count = 0;
    m->last_slot = m->waits_first ? m->first - 1 : wall_ms(w);
    m->live = true;
    m->entry = schedule_add(w->s, m->phase, m->interval, m->first, m, w->mono_ms * NS_PER_MS);
}

static void walk_remove(struct walk *w, struct model *m)
{
    schedule_remove(w->s, m->entry);
    m->live = false;
}

/* The grid slots in (after, to], counted one by one so that it is not the schedule's own sum. */
static uint64_t slots_between(const struct model *m, int64_t after, int64_t to)
{
    uint64_t count = 0;

    for (int64_t slot = m->phase + (after / m->interval - 1) * m->interval; slot <= to;
         slot += m->interval) {
        count += slot > after;
    }
    return count;
}

static void check_slot_is_new(const struct model *m, int64_t slot)
{
    for (size_t i = 0; i < m->slots_count; i++) {
        assert_int_not_equal(m->slots[i], slot);
    }
}

/* Without a step every slot is given or counted as missed, in order. */
static void check_order(const struct model *m, const struct schedule_turn *turn, bool was_first)
{
    uint64_t expected = slots_between(m, was_first ? m->first : m->last_slot, turn->slot_ms);

    assert_true(turn->slot_ms > m->last_slot);
    /* A first slot that was not given is one more than the grid has. */
    assert_int_equal(turn->missed, was_first ? expected : expected - 1);
    if (turn->missed > 0) {
        assert_true(turn->missed_slot_ms > m->last_slot);
        assert_true(turn->missed_slot_ms < turn->slot_ms);
        assert_true(slots_between(m, m->last_slot, turn->missed_slot_ms - 1) == 0);
    }
}

static void check_turn(struct walk *w, const struct schedule_turn *turn)
{
    struct model *m = turn->tag;
    int64_t rest = (turn->slot_ms - m->phase) % m->interval;
    bool was_first = m->waits_first;

    assert_true(m->live);
    assert_int_equal(turn->entry, m->entry);
    assert_in_range(turn->lag_us, 0, INT64_MAX);
    assert_int_equal(turn->lag_us, (wall_ms(w) - turn->slot_ms) * US_PER_MS);
    check_slot_is_new(m, turn->slot_ms);
    if (!(was_first && turn->slot_ms == m->first)) {
        assert_in_range(rest, 0, w->steps_back + 1); /* on the grid, but for bumps */
        assert_true(turn->lag_us < m->interval * US_PER_MS * (w->back ? 2 : 1));
    }
    if (!w->step) {
        check_order(m, turn, was_first);
    }
    m->waits_first = false;
    m->last_slot = turn->slot_ms;
    m->missed += turn->missed;
    assert_true(m->slots_count < SLOTS_MAX);
    m->slots[m->slots_count++] = turn->slot_ms;
}

static void walk_poll(struct walk *w)
{
    int64_t now_ns = w->mono_ms * NS_PER_MS;
    int64_t due_ns = schedule_next_due_ns(w->s);
    struct schedule_turn turn;

    while (schedule_take_due(w->s, now_ns, &turn)) {
        assert_true(due_ns <= now_ns);
        check_turn(w, &turn);
        assert_true(schedule_next_due_ns(w->s) >= due_ns); /* it was the first one */
        due_ns = schedule_next_due_ns(w->s);
    }
    assert_true(due_ns > now_ns);
}

static void walk_step(struct walk *w)
{
    static const int64_t sizes[] = {1, 10, 700, 30000, 400000};
    int64_t ms = below(w, sizes[below(w, (int64_t)ROWS(sizes))]) + 1;

    if (w->back && below(w, 3) != 0) {
        ms = -ms;
        w->steps_back++;
    }
    w->offset_ms += ms;
    schedule_step(w->s, w->offset_ms * NS_PER_MS, w->mono_ms * NS_PER_MS);
    for (size_t i = 0; i < WALK_SITES; i++) {
        w->models[i].first += ms; /* only looked at while it is waited for */
    }
}

static void walk(struct walk *w)
{
    size_t live = 0;

    w->s = schedule_new(w->offset_ms * NS_PER_MS);
    for (size_t i = 0; i < WALK_STEPS; i++) {
        struct model *m = &w->models[below(w, WALK_SITES)];
        int64_t what = below(w, 100);

        if (what < 3 && m->live) {
            walk_remove(w, m);
            live--;
        } else if (what < 6 && !m->live) {
            walk_add(w, m);
            live++;
        } else if (what < 8 && w->step) {
            walk_step(w);
        } else if (what < 9) {
            w->mono_ms += below(w, 200000); /* a stall */
            walk_poll(w);
        } else if (what < 60) {
            w->mono_ms += below(w, 300);
            walk_poll(w);
        } else if (live > 0) {
            int64_t due_ms = schedule_next_due_ns(w->s) / NS_PER_MS;

            w->mono_ms = due_ms > w->mono_ms ? due_ms : w->mono_ms;
            walk_poll(w);
        }
        assert_int_equal(schedule_count(w->s), live);
    }
    schedule_free(w->s);
}

static void test_random_walk(void **state)
{
    static const struct {
        const char *name;
        bool step, back;
    } kinds[] = {
        {"forward: every slot is given or missed, once and in order", false, false},
        {"with steps forward no slot is given twice", true, false},
        {"with steps back no slot is given twice, and all are near the grid", true, true},
    };

    (void)state;
    for (size_t kind = 0; kind < ROWS(kinds); kind++) {
        uint64_t missed = 0;
        size_t given = 0;

        print_message("  %s\n", kinds[kind].name);
        for (uint64_t seed = 1; seed <= WALK_SEEDS; seed++) {
            struct walk w = {
                .random = seed * UINT64_C(0x9E3779B97F4A7C15),
                .mono_ms = 5000,
                .offset_ms = INT64_C(1800000000000),
                .step = kinds[kind].step,
                .back = kinds[kind].back,
            };

            for (size_t i = 0; i < WALK_SITES; i++) {
                w.models[i].slots = calloc(SLOTS_MAX, sizeof(int64_t));
                assert_non_null(w.models[i].slots);
            }
            walk(&w);
            for (size_t i = 0; i < WALK_SITES; i++) {
                missed += w.models[i].missed;
                given += w.models[i].slots_count;
                free(w.models[i].slots);
            }
        }
        assert_true(missed > 1000); /* the walk went where it should */
        assert_true(given > 5000);
    }
}

#define MILLION 1000000

static void test_a_million_sites(void **state)
{
    int64_t started_ns = clock_mono_ns();
    struct schedule *s = schedule_new(0);
    struct schedule_turn turn;
    uint32_t given = 0;
    int64_t last_ms = 0;

    (void)state;
    print_message("  a million sites are added, given in order, stepped and removed\n");
    for (int64_t i = 0; i < MILLION; i++) {
        assert_int_equal(schedule_add(s, i * 7919 % 60000, 60000, 0, NULL, 0), i);
    }
    assert_int_equal(schedule_count(s), MILLION);
    while (given < MILLION && schedule_take_due(s, schedule_next_due_ns(s), &turn)) {
        assert_true(turn.slot_ms >= last_ms);
        last_ms = turn.slot_ms;
        given++;
    }
    assert_int_equal(last_ms, 60000); /* the slot after every one was given */
    schedule_step(s, -30000 * NS_PER_MS, 60000 * NS_PER_MS);
    assert_int_equal(schedule_next_due_ns(s), 60002 * NS_PER_MS);
    for (uint32_t i = 0; i < MILLION; i++) {
        schedule_remove(s, (uint32_t)(i * UINT64_C(611953) % MILLION));
    }
    assert_int_equal(schedule_next_due_ns(s), TIME_NEVER);
    schedule_free(s);
    assert_true(clock_mono_ns() - started_ns < 30 * NS_PER_SEC); /* quadratic takes hours */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_below_a_millisecond),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_a_million_sites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
