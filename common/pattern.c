/*
 * What bounds a search is an automatic callout before each item of the expression
 * (PCRE2_AUTO_CALLOUT): it looks at the clock, and ends the search when its CPU time is up.
 *
 * PCRE2's own limits do not do it. With JIT the match limit is counted anew at each place of the
 * body, and one count, or none, may stand for a scan of all that follows; depth and heap limits
 * are not looked at. On 1 MiB of 'a' and with a match limit of 1000, which refuses much that is
 * harmless, (?>a*)*[cd], (?=(a*))\1[cd] and .{60000}[cd] each ran for more than 15 s. A limit on
 * start offsets (PCRE2_USE_OFFSET_LIMIT) bounds the places and not what is done at one.
 *
 * Measured with callouts (PCRE2 10.42, one core, a limit of 50 ms): these and (a*)\1[cd],
 * [^x]*[yz], (.*)*x, (a+)+$, (?i)(a*)\1[bc], (*NO_JIT)a*[cd] before 1 MiB of 'a' end after 50.3 to
 * 52.2 ms, before 64 MiB after at most 71 ms. A callout takes 5 to 7 ns; between two of them at
 * most one item scans the body, 0.25 ms a MiB, or 2 ms where JIT is off.
 *
 * The price: v=(\d+) takes 0.25 us in place of 0.05 on 981 bytes and 0.8 ms in place of 0.03 on
 * 1 MiB. An expression that can begin anywhere, such as (\w+)=(\w+), takes 19 ns a byte in place of
 * 0.6. The machine code of a small expression is 2 to 4 KiB in place of 1.
 */
#include "common/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonstring.h"
#include "common/mem.h"
#include "common/utf8.h"

#define SEARCH_CPU_NS (50 * NS_PER_MS)        /* of one search, all matches together */
#define UNCOUNTED_NS (2 * NS_PER_MS)          /* of it, before the thread's own clock is read */
#define MATCH_LIMIT 10000000                  /* of one place in the body; the clock is sooner */
#define STACK_BYTES_START 65536               /* of a JIT stack, when PCRE2's 32 KiB are too few */
#define STACK_BYTES_MAX (16 * 1024 * 1024)    /* at most so much for one search */
#define HEAP_KIB_MAX (STACK_BYTES_MAX / 1024) /* the same where JIT is not available */
#define CALLOUTS_PER_LOOK 16                  /* at the clock, for a body of up to 1 MiB */
#define LOOK_BYTES (1024 * 1024)
#define ANSWERS_BYTES_START 256

struct pattern {
    char *text;
    pcre2_code *utf;
    pcre2_code *bytes;  /* NULL until a body needs it */
    bool bytes_refused; /* the expression makes sense as UTF alone */
    pcre2_match_context *context;
    uint32_t groups;
};

/* What one search has used. */
struct watch {
    uint32_t callouts;
    uint32_t callouts_per_look;
    int64_t until_mono_ns; /* 0: not looked at the clock yet */
    int64_t until_cpu_ns;  /* 0: not looked at that one yet */
};

/* One search on its way through a body. */
struct search {
    struct pattern *pattern;
    const pcre2_code *code;
    const char *body;
    size_t len;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    struct watch watch;
};

struct buffer {
    char *bytes;
    size_t used, room;
    size_t text_left; /* of PATTERN_ANSWER_BYTES_MAX */
    bool cut;
};

/*
 * The monotonic clock is cheap to read (20 ns), the thread's own is not (370 ns): it is read when a
 * search has taken as long as few do, and then when the cheap one says that the time is up, to tell
 * whether we or somebody else used it.
 */
static bool watch_expired(struct watch *watch)
{
    int64_t now_ns = clock_mono_ns();

    if (watch->until_mono_ns == 0) {
        watch->until_mono_ns = now_ns + UNCOUNTED_NS;
        return false;
    }
    if (now_ns < watch->until_mono_ns) {
        return false;
    }
    int64_t cpu_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);

    if (watch->until_cpu_ns == 0) {
        watch->until_cpu_ns = cpu_ns + SEARCH_CPU_NS - UNCOUNTED_NS;
    }
    int64_t left_ns = watch->until_cpu_ns - cpu_ns;

    watch->until_mono_ns = now_ns + left_ns;
    return left_ns <= 0;
}

static int on_callout(pcre2_callout_block *block, void *context)
{
    struct watch *watch = context;

    (void)block;
    watch->callouts++;
    return watch->callouts % watch->callouts_per_look == 0 && watch_expired(watch)
               ? PCRE2_ERROR_CALLOUT
               : 0;
}

static pcre2_code *compile(const char *text, uint32_t options, struct err *err)
{
    int code;
    PCRE2_SIZE offset;
    size_t len = strlen(text);
    pcre2_code *compiled;

    if (len > PATTERN_BYTES_MAX) {
        err_set(err, ERR_INVALID, "pattern: longer than %d bytes", PATTERN_BYTES_MAX);
        return NULL;
    }
    compiled =
        pcre2_compile((PCRE2_SPTR)text, len, options | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C,
                      &code, &offset, NULL);
    if (compiled == NULL) {
        PCRE2_UCHAR message[256];

        pcre2_get_error_message(code, message, sizeof(message));
        err_set(err, ERR_INVALID, "pattern: %s at offset %zu", (const char *)message, offset);
    }
    return compiled;
}

static int count_groups(const pcre2_code *code, uint32_t *groups, struct err *err)
{
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, groups);
    if (*groups > PATTERN_GROUPS_MAX) {
        return err_set(err, ERR_INVALID,
                       "pattern: has %u groups, want at most %d; write (?:...) "
                       "for a group that is no answer",
                       *groups, PATTERN_GROUPS_MAX);
    }
    return 0;
}

int pattern_check(const char *text, struct err *err)
{
    pcre2_code *code = compile(text, PCRE2_UTF, err);
    uint32_t groups;
    int rc = code == NULL ? -1 : count_groups(code, &groups, err);

    pcre2_code_free(code);
    return rc;
}

struct pattern *pattern_new(const char *text, struct err *err)
{
    pcre2_code *code = compile(text, PCRE2_UTF, err);
    uint32_t groups;

    if (code == NULL || count_groups(code, &groups, err) < 0) {
        pcre2_code_free(code);
        return NULL;
    }
    struct pattern *p = mem_alloc(1, sizeof(*p));

    /* Where the system has no JIT, or allows none, the same code is interpreted. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    p->text = mem_copy_string(text);
    p->utf = code;
    p->groups = groups;
    p->context = pcre2_match_context_create(NULL);
    if (p->context == NULL) {
        pattern_free(p);
        err_set(err, ERR_FATAL, "pattern: out of memory");
        return NULL;
    }
    pcre2_set_match_limit(p->context, MATCH_LIMIT);
    pcre2_set_heap_limit(p->context, HEAP_KIB_MAX);
    return p;
}

void pattern_free(struct pattern *p)
{
    if (p != NULL) {
        free(p->text);
        pcre2_code_free(p->utf);
        pcre2_code_free(p->bytes);
        pcre2_match_context_free(p->context);
        free(p);
    }
}

/* NULL for the few expressions, such as \x{100}, that cannot be matched against bytes. */
static const pcre2_code *bytes_code(struct pattern *p)
{
    struct err ignored;

    if (p->bytes == NULL && !p->bytes_refused) {
        p->bytes = compile(p->text, PCRE2_NEVER_UTF, &ignored);
        p->bytes_refused = p->bytes == NULL;
        if (p->bytes != NULL) {
            (void)pcre2_jit_compile(p->bytes, PCRE2_JIT_COMPLETE);
        }
    }
    return p->bytes;
}

static void buffer_make_room(struct buffer *buffer, size_t len)
{
    if (buffer->room - buffer->used < len) {
        buffer->room = 2 * (buffer->room + len) + ANSWERS_BYTES_START;
        buffer->bytes = mem_resize(buffer->bytes, buffer->room, 1);
    }
}

static void buffer_add(struct buffer *buffer, const char *text)
{
    size_t len = strlen(text);

    buffer_make_room(buffer, len);
    memcpy(buffer->bytes + buffer->used, text, len);
    buffer->used += len;
}

/* One capture: as much of it as there is room for. */
static void add_capture(struct buffer *buffer, const char *text, size_t len)
{
    char clean[PATTERN_ANSWER_BYTES_MAX + 1];
    bool cut;
    size_t clean_len = utf8_clean(text, len, clean, buffer->text_left + 1, &cut);

    buffer_make_room(buffer, JSONSTRING_BYTES_MAX(clean_len));
    buffer->used += jsonstring_put(buffer->bytes + buffer->used, clean, clean_len);
    buffer->text_left -= clean_len;
    buffer->cut |= cut;
}

static void add_match(struct buffer *buffer, const struct search *search, bool first)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(search->data);

    buffer_add(buffer, first ? "[" : ",[");
    for (uint32_t i = 0; i <= search->pattern->groups; i++) {
        PCRE2_SIZE start = at[2 * i];
        PCRE2_SIZE end = at[2 * i + 1];

        if (i > 0) {
            buffer_add(buffer, ",");
        }
        if (start == PCRE2_UNSET) {
            buffer_add(buffer, "null");
        } else {
            add_capture(buffer, search->body + start, end > start ? end - start : 0);
        }
    }
    buffer_add(buffer, "]");
}

/* One match; when the stack was too small, once more with a large one. */
static int match_once(struct search *search, size_t offset, uint32_t options)
{
    const struct pattern *p = search->pattern;
    int rc = pcre2_match(search->code, (PCRE2_SPTR)search->body, search->len, offset,
                         options | PCRE2_NO_UTF_CHECK, search->data, p->context);

    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && search->stack == NULL) {
        search->stack = pcre2_jit_stack_create(STACK_BYTES_START, STACK_BYTES_MAX, NULL);
        pcre2_jit_stack_assign(p->context, NULL, search->stack);
        rc = pcre2_match(search->code, (PCRE2_SPTR)search->body, search->len, offset,
                         options | PCRE2_NO_UTF_CHECK, search->data, p->context);
    }
    return rc;
}

static enum pattern_result search_all(struct search *search, struct answers *answers)
{
    struct buffer buffer = {.text_left = PATTERN_ANSWER_BYTES_MAX};
    size_t offset = 0;
    size_t count = 0;
    uint32_t options = 0;
    int rc;

    for (;;) {
        rc = match_once(search, offset, options);
        if (rc <= 0 || answers == NULL || count == PATTERN_ANSWERS_MAX || buffer.cut) {
            break;
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(search->data);

        add_match(&buffer, search, count == 0);
        count++;
        /* After an empty match the next one may begin at the same place, if it is not empty. */
        options = at[0] == at[1] ? PCRE2_NOTEMPTY_ATSTART : 0;
        offset = at[1];
    }
    if (count > 0) {
        char *json = mem_alloc(buffer.used + 3, 1);

        json[0] = '[';
        memcpy(json + 1, buffer.bytes, buffer.used);
        json[buffer.used + 1] = ']';
        *answers = (struct answers){.json = json,
                                    .json_len = buffer.used + 2,
                                    .count = count,
                                    .cut = buffer.cut || rc != PCRE2_ERROR_NOMATCH};
    }
    free(buffer.bytes);
    if (count > 0 || rc > 0) {
        return PATTERN_MATCHED;
    }
    return rc == PCRE2_ERROR_NOMATCH ? PATTERN_ABSENT : PATTERN_LIMIT;
}

static enum pattern_result search_with(struct pattern *p, const pcre2_code *code, const char *body,
                                       size_t len, struct answers *answers)
{
    struct search search = {
        .pattern = p,
        .code = code,
        .body = body,
        .len = len,
        .data = pcre2_match_data_create(p->groups + 1, NULL),
        .watch.callouts_per_look = len > LOOK_BYTES ? 1 : CALLOUTS_PER_LOOK,
    };
    enum pattern_result result = PATTERN_LIMIT;

    if (search.data != NULL) {
        pcre2_set_callout(p->context, on_callout, &search.watch);
        pcre2_jit_stack_assign(p->context, NULL, NULL);
        result = search_all(&search, answers);
    }
    pcre2_jit_stack_free(search.stack);
    pcre2_match_data_free(search.data);
    return result;
}

enum pattern_result pattern_search(struct pattern *p, const char *body, size_t len,
                                   struct answers *answers)
{
    const pcre2_code *code = p->utf;

    if (answers != NULL) {
        *answers = (struct answers){0};
    }
    if (utf8_valid_prefix(body, len) != len) {
        code = bytes_code(p);
    }
    if (code != NULL) {
        return search_with(p, code, body, len, answers);
    }
    size_t size = 3 * len + 1; /* a byte becomes U+FFFD, three bytes, at most */
    char *clean = mem_alloc(size, 1);
    size_t clean_len = utf8_clean(body, len, clean, size, NULL);
    enum pattern_result result = search_with(p, p->utf, clean, clean_len, answers);

    free(clean);
    return result;
}

void answers_free(struct answers *answers)
{
    free(answers->json);
    *answers = (struct answers){0};
}
