#include "producer/selfprobe.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/url.h"
#include "common/wakeup.h"
#include "producer/loop.h"
#include "producer/resolver_host.h"

#define SOCKETS_MAX 4 /* addresses of a name that are tried, all at once */
#define AGAIN_NS NS_PER_SEC
#define NOTE_NS (10 * NS_PER_MS) /* what is reached sooner after the last time is not noted */

struct target {
    struct selfprobe *owner;
    char *host;
    uint16_t port;
    struct resolver_request *request;
    int fds[SOCKETS_MAX];
    size_t fds_count;
};

struct selfprobe {
    struct target targets[PROBE_SELF_ADDRESSES_MAX];
    size_t count;
    struct metric *down_gauge, *results[2]; /* [1]: reached */

    _Atomic int64_t reached_ns; /* by a check or by us */
    atomic_bool down;

    pthread_mutex_t mutex; /* of what follows, and of changes of `down` */
    bool wanted, stop, broken;
    int64_t down_since_ns, down_until_ns; /* of the last time that it was down */
    int *fds;
    size_t fds_count;

    /* The thread's. */
    pthread_t thread;
    bool started;
    struct loop *loop;
    struct resolver *resolver;
    int wake_fd;
    bool probing, through;
    int64_t began_ns; /* the last time */
};

/* --- The addresses --- */

/* One of the list, from `text` to before `end`. */
static int parse_one(const char *text, const char *end, struct target *target, struct err *err)
{
    char *copy = mem_copy(text, (size_t)(end - text));
    size_t size = strlen(copy) + sizeof("http:///");
    char *full = mem_alloc(size, 1);
    struct url url;
    bool is_url = strstr(copy, "://") != NULL;
    int rc;

    snprintf(full, size, is_url ? "%s" : "http://%s/", copy);
    if (!is_url && strrchr(copy, ':') == NULL) {
        rc = err_set(err, ERR_INVALID, "there is no \":port\"");
    } else {
        rc = url_parse(full, &url, err);
    }
    if (rc < 0) {
        err_context(err, "probe-self: \"%s\"", copy);
    } else {
        *target = (struct target){.host = mem_copy_string(url.host), .port = url.port};
        url_free(&url);
    }
    free(copy);
    free(full);
    return rc;
}

static void free_targets(struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(targets[i].host);
    }
}

/* -1: none of them is kept. */
static int parse(const char *addresses, struct target *targets, size_t *count, struct err *err)
{
    const char *text = addresses;

    *count = 0;
    while (*text != '\0') {
        size_t len;

        text += strspn(text, " ,");
        len = strcspn(text, ", ");
        if (len == 0) {
            break;
        }
        int rc = *count == PROBE_SELF_ADDRESSES_MAX
                     ? err_set(err, ERR_INVALID, "probe-self: more than %d addresses",
                               PROBE_SELF_ADDRESSES_MAX)
                     : parse_one(text, text + len, &targets[*count], err);

        if (rc < 0) {
            free_targets(targets, *count);
            return -1;
        }
        (*count)++;
        text += len;
    }
    return *count > 0 ? 0 : err_set(err, ERR_INVALID, "probe-self: there is no address");
}

int selfprobe_check(const char *addresses, struct err *err)
{
    struct target targets[PROBE_SELF_ADDRESSES_MAX];
    size_t count;

    if (parse(addresses, targets, &count, err) < 0) {
        return -1;
    }
    free_targets(targets, count);
    return 0;
}

/* --- What is known --- */

static void note_reached(struct selfprobe *s, int64_t now_ns)
{
    if (now_ns - atomic_load_explicit(&s->reached_ns, memory_order_relaxed) >= NOTE_NS) {
        atomic_store_explicit(&s->reached_ns, now_ns, memory_order_relaxed);
    }
}

/* The mutex is held. */
static void set_down(struct selfprobe *s, bool down, int64_t now_ns)
{
    if (down == atomic_load(&s->down)) {
        return;
    }
    atomic_store(&s->down, down);
    metric_set(s->down_gauge, down);
    if (down) {
        s->down_since_ns = now_ns;
        log_write(LOG_WARN, "our own network is down, checks that fail are unknown",
                  LOG_I("addresses", s->count), LOG_I("waited_ms", PROBE_SELF_MS));
    } else {
        s->down_until_ns = now_ns;
        log_write(LOG_INFO, "our own network is up again",
                  LOG_I("seconds", (now_ns - s->down_since_ns) / NS_PER_SEC));
    }
}

void selfprobe_reached(struct selfprobe *s, int64_t now_ns)
{
    note_reached(s, now_ns);
    if (atomic_load_explicit(&s->down, memory_order_relaxed)) {
        pthread_mutex_lock(&s->mutex);
        set_down(s, false, now_ns);
        pthread_mutex_unlock(&s->mutex);
    }
}

enum selfprobe_answer selfprobe_ask(struct selfprobe *s, int64_t began_ns)
{
    int64_t reached_ns = atomic_load_explicit(&s->reached_ns, memory_order_relaxed);
    enum selfprobe_answer answer = SELFPROBE_ASKED;

    pthread_mutex_lock(&s->mutex);
    if (atomic_load(&s->down) || began_ns < s->down_until_ns) {
        answer = SELFPROBE_DOWN; /* it was down at some time while the check was made */
    } else if (s->broken || reached_ns >= began_ns - PROBE_SELF_GRACE_MS * NS_PER_MS) {
        answer = SELFPROBE_UP;
    } else {
        s->wanted = true;
    }
    pthread_mutex_unlock(&s->mutex);
    if (answer == SELFPROBE_ASKED) {
        wakeup_ring(s->wake_fd);
    }
    return answer;
}

static void ring(const struct selfprobe *s)
{
    for (size_t i = 0; i < s->fds_count; i++) {
        wakeup_ring(s->fds[i]);
    }
}

void selfprobe_attach(struct selfprobe *s, int fd)
{
    pthread_mutex_lock(&s->mutex);
    s->fds = mem_resize(s->fds, s->fds_count + 1, sizeof(s->fds[0]));
    s->fds[s->fds_count++] = fd;
    pthread_mutex_unlock(&s->mutex);
}

void selfprobe_detach(struct selfprobe *s, int fd)
{
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->fds_count; i++) {
        if (s->fds[i] == fd) {
            s->fds[i] = s->fds[--s->fds_count];
            break;
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

/* --- In the thread: one time --- */

static void close_sockets(struct selfprobe *s, struct target *target)
{
    for (size_t i = 0; i < target->fds_count; i++) {
        loop_unwatch(s->loop, target->fds[i]);
        close(target->fds[i]);
    }
    target->fds_count = 0;
}

static void end_probe(struct selfprobe *s)
{
    int64_t now_ns = clock_mono_ns();
    int64_t reached_ns = atomic_load_explicit(&s->reached_ns, memory_order_relaxed);

    for (size_t i = 0; i < s->count; i++) {
        struct target *target = &s->targets[i];

        if (target->request != NULL) {
            resolver_cancel(s->resolver, target->request);
            target->request = NULL;
        }
        close_sockets(s, target);
    }
    s->probing = false;
    metric_add(s->results[s->through], 1);
    if (s->through) {
        atomic_store_explicit(&s->reached_ns, now_ns, memory_order_relaxed);
    }
    pthread_mutex_lock(&s->mutex);
    /* A check that got through meanwhile knows better than this. */
    set_down(s, !s->through && reached_ns < s->began_ns, now_ns);
    ring(s);
    pthread_mutex_unlock(&s->mutex);
}

static void on_connected(void *context, int fd, unsigned ready)
{
    struct target *target = context;
    struct selfprobe *s = target->owner;
    int code = 0;
    socklen_t len = sizeof(code);

    (void)ready;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len);
    s->through = s->through || code == 0;
    for (size_t i = 0; i < target->fds_count; i++) {
        if (target->fds[i] == fd) {
            loop_unwatch(s->loop, fd);
            close(fd);
            target->fds[i] = target->fds[--target->fds_count];
            break;
        }
    }
}

static void connect_to(struct selfprobe *s, struct target *target,
                       const struct resolver_address *address)
{
    struct sockaddr_storage to;
    socklen_t len = resolver_address_to(address, target->port, &to);
    struct err ignored;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return;
    }
    int rc = connect(fd, (const struct sockaddr *)&to, len);

    s->through = s->through || rc == 0;
    if (rc == 0 || errno != EINPROGRESS ||
        loop_watch(s->loop, fd, LOOP_WRITE, on_connected, target, &ignored) < 0) {
        close(fd);
        return;
    }
    target->fds[target->fds_count++] = fd;
}

static void on_answer(void *context, const struct resolver_answer *answer)
{
    struct target *target = context;

    target->request = NULL;
    size_t count = answer->outcome == RESOLVER_FOUND ? answer->addresses.count : 0;

    for (size_t i = 0; i < count && i < SOCKETS_MAX; i++) {
        connect_to(target->owner, target, &answer->addresses.list[i]);
    }
}

static void begin_probe(struct selfprobe *s, int64_t now_ns)
{
    s->probing = true;
    s->through = false;
    s->began_ns = now_ns;
    for (size_t i = 0; i < s->count; i++) {
        struct target *target = &s->targets[i];

        target->request =
            resolver_ask(s->resolver, target->host, RESOLVER_ANY, now_ns, on_answer, target);
    }
}

static bool is_over(const struct selfprobe *s, int64_t now_ns)
{
    if (s->through || now_ns >= s->began_ns + PROBE_SELF_MS * NS_PER_MS) {
        return true;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->targets[i].request != NULL || s->targets[i].fds_count > 0) {
            return false;
        }
    }
    return true;
}

/* --- The thread --- */

static void on_wake(void *context, int fd, unsigned ready)
{
    (void)context;
    (void)ready;
    wakeup_take(fd);
}

/* When the next time is due; takes the request when it is. */
static int64_t next_ns(struct selfprobe *s, int64_t now_ns)
{
    int64_t due_ns = TIME_NEVER;

    pthread_mutex_lock(&s->mutex);
    if (s->wanted) {
        due_ns = s->began_ns + PROBE_SELF_APART_MS * NS_PER_MS;
    } else if (atomic_load(&s->down)) {
        due_ns = s->began_ns + AGAIN_NS;
    }
    s->wanted = s->wanted && due_ns > now_ns;
    pthread_mutex_unlock(&s->mutex);
    return due_ns;
}

static int turn(struct selfprobe *s, struct err *err)
{
    int64_t now_ns = clock_mono_ns();
    int64_t due_ns = s->began_ns + PROBE_SELF_MS * NS_PER_MS;

    if (s->probing && is_over(s, now_ns)) {
        end_probe(s);
    }
    if (!s->probing) {
        due_ns = next_ns(s, now_ns);
        if (due_ns <= now_ns) {
            begin_probe(s, now_ns);
            return 0; /* it may be over already */
        }
    }
    if (resolver_next_due_ns(s->resolver) < due_ns) {
        due_ns = resolver_next_due_ns(s->resolver);
    }
    if (loop_turn(s->loop, due_ns, err) < 0) {
        return -1;
    }
    resolver_run_due(s->resolver, clock_mono_ns());
    return 0;
}

static bool is_stopped(struct selfprobe *s)
{
    pthread_mutex_lock(&s->mutex);

    bool stop = s->stop;

    pthread_mutex_unlock(&s->mutex);
    return stop;
}

static void *run_selfprobe(void *context)
{
    struct selfprobe *s = context;
    struct err err;

    while (!is_stopped(s)) {
        if (turn(s, &err) == 0) {
            continue;
        }
        log_write(LOG_ERROR, "our own network is not looked at any more",
                  LOG_S("reason", err.message));
        pthread_mutex_lock(&s->mutex);
        s->broken = true;
        set_down(s, false, clock_mono_ns());
        ring(s);
        pthread_mutex_unlock(&s->mutex);
        break;
    }
    return NULL;
}

/* --- Life and death --- */

struct selfprobe *selfprobe_new(const char *addresses, const struct resolver_settings *resolver,
                                struct metrics *m, struct err *err)
{
    static const char help[] = "Times that we tried whether our own network is up";
    struct selfprobe *s = mem_alloc(1, sizeof(*s));

    s->wake_fd = -1;
    atomic_store(&s->reached_ns, INT64_MIN / 2); /* nothing was, yet */
    s->down_until_ns = INT64_MIN;
    pthread_mutex_init(&s->mutex, NULL);
    s->down_gauge = metrics_gauge(m, "sitewatch_local_network_down",
                                  "1 while none of the addresses of probe-self is reached", NULL);
    s->results[0] = metrics_counter(m, "sitewatch_self_probes", help, "result=\"failed\"");
    s->results[1] = metrics_counter(m, "sitewatch_self_probes", help, "result=\"reached\"");
    if (parse(addresses, s->targets, &s->count, err) < 0) {
        s->count = 0;
        goto fail;
    }
    for (size_t i = 0; i < s->count; i++) {
        s->targets[i].owner = s;
    }
    s->loop = loop_new(err);
    if (s->loop == NULL) {
        goto fail;
    }
    s->resolver = resolver_new(resolver, s->loop, m, err);
    if (s->resolver == NULL) {
        goto fail;
    }
    s->wake_fd = wakeup_open(err);
    if (s->wake_fd < 0 || loop_watch(s->loop, s->wake_fd, LOOP_READ, on_wake, s, err) < 0 ||
        thread_start(&s->thread, "selfprobe", run_selfprobe, s, err) < 0) {
        goto fail;
    }
    s->started = true;
    return s;

fail:
    selfprobe_free(s);
    return NULL;
}

void selfprobe_free(struct selfprobe *s)
{
    if (s == NULL) {
        return;
    }
    if (s->started) {
        pthread_mutex_lock(&s->mutex);
        s->stop = true;
        pthread_mutex_unlock(&s->mutex);
        wakeup_ring(s->wake_fd);
        pthread_join(s->thread, NULL);
    }
    for (size_t i = 0; i < s->count; i++) {
        close_sockets(s, &s->targets[i]);
    }
    resolver_free(s->resolver);
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    loop_free(s->loop);
    free_targets(s->targets, s->count);
    free(s->fds);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
