#include "producer/probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/probe_internal.h"

/* --- What libcurl asks of the loop --- */

static void break_off(struct probe *p, const struct err *err)
{
    if (!p->broken) {
        p->broken = true;
        p->broken_by = *err;
    }
}

static void act(struct probe *p, curl_socket_t fd, int mask)
{
    int unused;
    CURLMcode code;

    tls_enter(p->tls);
    code = curl_multi_socket_action(p->multi, fd, mask, &unused);
    tls_leave(p->tls);
    p->has_news = true;
    if (code != CURLM_OK) {
        struct err err;

        err_set(&err, ERR_FATAL, "curl_multi_socket_action: %s", curl_multi_strerror(code));
        break_off(p, &err);
    }
}

static void on_ready(void *context, int fd, unsigned ready)
{
    int mask = ((ready & LOOP_READ) ? CURL_CSELECT_IN : 0) |
               ((ready & LOOP_WRITE) ? CURL_CSELECT_OUT : 0) |
               ((ready & LOOP_FAIL) ? CURL_CSELECT_ERR : 0);

    act(context, fd, mask);
}

static int on_socket(CURL *unused, curl_socket_t fd, int what, void *arg, void *unused_too)
{
    struct probe *p = arg;
    unsigned events =
        ((what & CURL_POLL_IN) ? LOOP_READ : 0u) | ((what & CURL_POLL_OUT) ? LOOP_WRITE : 0u);
    struct err err;

    (void)unused;
    (void)unused_too;
    if (what == CURL_POLL_REMOVE) {
        loop_rest(p->loop, fd); /* it is used again, or closed next */
    } else if (loop_watch(p->loop, fd, events, on_ready, p, &err) < 0) {
        break_off(p, &err);
        return -1;
    }
    return 0;
}

static int on_timer(CURLM *unused, long timeout_ms, void *arg)
{
    struct probe *p = arg;

    (void)unused;
    p->curl_due_ns = timeout_ms < 0 ? TIME_NEVER : clock_mono_ns() + timeout_ms * NS_PER_MS;
    return 0;
}

/* --- Life and death --- */

/* What we rely on and a libcurl may be built without. */
static int requirements_check(CURL *easy, struct err *err)
{
    if (curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, NULL) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS) != CURLE_OK) {
        return err_set(err, ERR_FATAL, "%s was built without OpenSSL or without HTTP/2",
                       curl_version());
    }
    return 0;
}

static int slots_make(struct probe *p, struct err *err)
{
    /* One more than may be in flight: while on_done reads a result from its slot, that check is
     * over and the next may start. */
    p->slot_count = p->settings.in_flight_max + 1;
    p->slots = mem_alloc(p->slot_count, sizeof(p->slots[0]));
    alarms_init(&p->alarms, p->slot_count);
    for (size_t i = p->slot_count; i-- > 0;) {
        struct slot *slot = &p->slots[i];

        slot->probe = p;
        slot->easy = curl_easy_init();
        slot->url = curl_url();
        if (slot->easy == NULL || slot->url == NULL) {
            return err_set(err, ERR_FATAL, "libcurl is out of memory");
        }
        slot->next = p->idle;
        p->idle = slot;
    }
    return requirements_check(p->slots[0].easy, err);
}

static int multi_make(struct probe *p, struct err *err)
{
    p->multi = curl_multi_init();
    if (p->multi == NULL) {
        return err_set(err, ERR_FATAL, "curl_multi_init failed");
    }
    p->headers_linger = callbacks_headers_linger();
    if (!request_prepare(p)) {
        return err_set(err, ERR_FATAL, "out of memory");
    }
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    /* Each check has a connection to itself, also with HTTP/2: its times are its own. */
    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    /* Those in use and those kept for reuse_connection together: as many descriptors as we may
     * have. One in use that found no room would be closed when its check ends. */
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, 2 * (long)p->settings.in_flight_max);
    return 0;
}

struct probe *probe_new(const struct probe_settings *settings, struct loop *loop,
                        struct resolver *resolver, struct tls *tls, struct metrics *m,
                        probe_done_fn *on_done, void *context, struct err *err)
{
    struct probe *p = mem_alloc(1, sizeof(*p));

    assert(settings->in_flight_max > 0);
    p->settings = *settings;
    p->loop = loop;
    p->resolver = resolver;
    p->tls = tls;
    p->on_done = on_done;
    p->context = context;
    p->curl_due_ns = TIME_NEVER;
    p->ended_tail = &p->ended;
    p->in_flight_gauge =
        metrics_gauge(m, "sitewatch_checks_in_flight", "Checks that are being made.", NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (multi_make(p, err) < 0 || slots_make(p, err) < 0) {
        probe_free(p);
        return NULL;
    }
    return p;
}

static void slot_clear(struct slot *slot)
{
    check_clear_targets(slot);
    proxy_free(&slot->proxy);
    transfer_clear(slot);
}

void probe_free(struct probe *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->slot_count; i++) {
        check_abandon(&p->slots[i]);
        curl_easy_cleanup(p->slots[i].easy);
        curl_url_cleanup(p->slots[i].url);
        slot_clear(&p->slots[i]);
    }
    /* Connections that are kept end here; they may still call on_socket. */
    curl_multi_cleanup(p->multi);
    request_unprepare(p);
    for (size_t i = 0; i < p->slot_count; i++) {
        free(p->slots[i].body);
    }
    alarms_free(&p->alarms);
    free(p->slots);
    curl_global_cleanup();
    free(p);
}

/* --- Checks --- */

size_t probe_in_flight(const struct probe *p)
{
    return p->in_flight;
}

bool probe_has_room(const struct probe *p)
{
    return p->in_flight < p->settings.in_flight_max;
}

/* The gauge is the sum over all loops. */
static void in_flight_change(struct probe *p, int by)
{
    p->in_flight += (size_t)by;
    metric_change(p->in_flight_gauge, by);
}

void probe_start(struct probe *p, const struct site *site, bool keep_body, void *tag,
                 int64_t now_ns)
{
    struct slot *slot = p->idle;

    assert(probe_has_room(p) && slot != NULL);
    p->idle = slot->next;
    slot->site = site;
    slot->keep_body = keep_body;
    slot->tag = tag;
    in_flight_change(p, 1);
    check_start(slot, now_ns);
}

static int64_t sum_us(const struct event_timing *timing)
{
    const int64_t phases[] = {timing->dns_us, timing->connect_us, timing->tls_us, timing->wait_us,
                              timing->transfer_us};
    int64_t sum = 0;

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        sum += phases[i] == EVENT_ABSENT ? 0 : phases[i];
    }
    return sum;
}

static void result_fill(struct slot *slot, struct probe_result *result)
{
    bool failed = slot->fault.type != ERROR_NONE;
    int64_t phases_us = sum_us(&slot->timing);
    int64_t total_us = (slot->ended_ns - slot->started_ns) / NS_PER_US;

    /* now_ns of the start may be a little off, and nobody wants a whole less than its parts. */
    slot->timing.total_us = total_us < phases_us ? phases_us : total_us;
    *result = (struct probe_result){
        .error = slot->fault.type,
        .error_phase = slot->fault.phase,
        .error_message = failed ? slot->fault.message : NULL,
        .http_status = slot->http_status,
        .http_version = slot->http_version,
        .redirects = slot->redirects,
        .final_url = slot->redirects > 0 ? slot->target.url : NULL,
        .body_bytes = slot->http_status == 0 ? 0 : slot->hop.body_bytes,
        .timing = slot->timing,
        .peer = slot->peer[0] == '\0' ? NULL : slot->peer,
        .tls_version = slot->tls_version,
        .cert_not_after_s = slot->not_after_s,
    };
    if (!failed && slot->site->header_pattern != NULL) {
        result->headers = slot->hop.lines == NULL ? "" : slot->hop.lines;
        result->headers_len = slot->hop.lines_len;
    }
    if (!failed && slot->keep_body) {
        result->body = slot->hop.body_bytes == 0 ? "" : slot->body;
        result->body_len = (size_t)slot->hop.body_bytes;
    }
}

static void slot_release(struct slot *slot)
{
    struct probe *p = slot->probe;

    slot_clear(slot);
    if (slot->body_size > PROBE_BODY_KEPT_BYTES) {
        slot->body = mem_resize(slot->body, PROBE_BODY_KEPT_BYTES, 1);
        slot->body_size = PROBE_BODY_KEPT_BYTES;
    }
    slot->state = SLOT_IDLE;
    slot->next = p->idle;
    p->idle = slot;
}

/* Those that ended until now; on_done may start checks, and what ends thereby waits its turn. */
static void ended_deliver(struct probe *p)
{
    struct slot *slot = p->ended;

    p->ended = NULL;
    p->ended_tail = &p->ended;
    while (slot != NULL) {
        struct slot *next = slot->next;
        struct probe_result result;

        result_fill(slot, &result);
        in_flight_change(p, -1);
        p->on_done(p->context, slot->tag, &result);
        slot_release(slot);
        slot = next;
    }
}

/* --- Time --- */

int64_t probe_next_due_ns(const struct probe *p)
{
    int64_t alarm_ns = alarms_next_due_ns(&p->alarms);

    if (p->has_news || p->ended != NULL || p->broken) {
        return 0;
    }
    return p->curl_due_ns < alarm_ns ? p->curl_due_ns : alarm_ns;
}

static void news_read(struct probe *p)
{
    CURLMsg *message;
    int unused;

    p->has_news = false;
    while ((message = curl_multi_info_read(p->multi, &unused)) != NULL) {
        CURLcode code = message->data.result; /* message dies with the handle's removal */
        void *slot = NULL;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        check_on_transfer_done(slot, code);
    }
}

int probe_run_due(struct probe *p, int64_t now_ns, struct err *err)
{
    struct alarm *alarm;

    if (now_ns >= p->curl_due_ns) {
        p->curl_due_ns = TIME_NEVER; /* before the call, which may set a new time */
        act(p, CURL_SOCKET_TIMEOUT, 0);
    }
    if (p->has_news) {
        news_read(p);
    }
    while ((alarm = alarms_take_due(&p->alarms, now_ns)) != NULL) {
        check_on_alarm((struct slot *)((char *)alarm - offsetof(struct slot, alarm)));
    }
    ended_deliver(p);
    if (p->broken) {
        *err = p->broken_by;
        return -1;
    }
    return 0;
}
