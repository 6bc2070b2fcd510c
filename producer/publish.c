#include "producer/publish.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wakeup.h"
#include "producer/backlog.h"
#include "producer/client.h"
#include "producer/lane.h"
#include "producer/trouble.h"

#define RETRY_NS NS_PER_SEC /* between two tries at what was refused or failed */
#define FLUSH_SLICE_MS 100  /* of waiting for reports, before what waits is tried again */
#define LABELS_SIZE (KAFKA_TOPIC_BYTES_MAX + 64)

enum { ROUTE_SUCCESS, ROUTE_FAILURE, ROUTES };
_Static_assert(ROUTES == CLIENT_TOPICS, "a topic of the client for each route");
_Static_assert(ROUTES == SPOOL_LANES, "a lane of the spool for each route");

static const char *const topic_settings[ROUTES] = {
    [ROUTE_SUCCESS] = "KAFKA_TOPIC_SUCCESS", [ROUTE_FAILURE] = "KAFKA_TOPIC_FAILURE"};

/* A topic, and what is on its way there. One topic's trouble does not stop the other. */
struct route {
    struct publish *publish;
    struct lane lane;
    int64_t retry_ns; /* nothing is handed over before */

    /* Noted by delivery reports for publish_poll. */
    size_t failed;
    rd_kafka_resp_err_t failed_code;
    struct held_list refused; /* for good */

    struct trouble_topic trouble;
    struct metric *delivered, *retried;
};

/* All below `mutex` is read and changed with it; librdkafka's callbacks run in publish_poll and in
 * publish_flush, and so have it too. */
struct publish {
    publish_room_fn *on_room;
    void *context;
    atomic_bool room;

    pthread_mutex_t mutex;
    struct client client;
    int64_t told_ns;    /* when publish_poll is going to be called, as far as we know */
    int64_t restart_ns; /* no new producer is made before */
    struct route routes[ROUTES];
    struct backlog backlog; /* of their lanes */
    int64_t full_until_ns;  /* librdkafka's queue is not tried before, unless a report comes */

    /* Noted by callbacks for publish_poll. */
    bool reported, delivered, brokers_down;

    struct trouble trouble;
    struct metric *queue_full, *too_large, *restarts, *queued_gauge, *waiting_gauge;
};

static size_t pending(const struct publish *p)
{
    return p->routes[ROUTE_SUCCESS].lane.count + p->routes[ROUTE_FAILURE].lane.count;
}

static size_t waiting(const struct publish *p)
{
    return p->routes[ROUTE_SUCCESS].lane.waiting + p->routes[ROUTE_FAILURE].lane.waiting;
}

static struct trouble_facts facts(const struct publish *p)
{
    return (struct trouble_facts){
        .pending = pending(p),
        .waiting = waiting(p),
        .waiting_bytes = p->routes[ROUTE_SUCCESS].lane.waiting_bytes +
                         p->routes[ROUTE_FAILURE].lane.waiting_bytes,
        .waiting_bytes_max = PUBLISH_WAITING_BYTES_MAX,
        .behind = backlog_is_behind(&p->backlog),
        .spooling = backlog_has_room(&p->backlog),
        .brokers_down = p->brokers_down,
        .delivered = p->delivered,
    };
}

static bool is_size(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *report, void *opaque)
{
    struct publish *p = opaque;
    struct held *held = report->_private;
    struct route *route = held->owner;

    (void)kafka;
    p->reported = true;
    if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->delivered = true;
        metric_add(route->delivered, 1);
        lane_remove(&route->lane, held);
        backlog_forget(&p->backlog, held);
        held_free(held);
    } else if (is_size(report->err) && held->alone) {
        lane_remove(&route->lane, held);
        TAILQ_INSERT_TAIL(&route->refused, held, link);
    } else {
        metric_add(route->retried, 1);
        lane_failed(&route->lane, held);
        /* A broker refuses a whole request for its size: this event need not be the reason. */
        held->alone = held->alone || is_size(report->err);
        route->failed++;
        route->failed_code = report->err;
    }
}

static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *opaque)
{
    struct publish *p = opaque;

    switch (code) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        p->brokers_down = true;
        break;
    case RD_KAFKA_RESP_ERR__FATAL: /* publish_poll asks for it */
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        break; /* librdkafka logs these itself */
    default:
        kafka_log(kafka, 3, "ERROR", reason);
        break;
    }
}

/* Metrics are made once the name is known to be a topic's: it stands in their labels. */
static struct metric *route_counter(const struct route *route, const char *result,
                                    struct metrics *m)
{
    char labels[LABELS_SIZE];

    snprintf(labels, sizeof(labels), "topic=\"%s\",result=\"%s\"", route->trouble.topic, result);
    return metrics_counter(m, "sitewatch_events",
                           "Events that Kafka took, and deliveries that failed and are repeated.",
                           labels);
}

static void route_init(struct publish *p, size_t index, const char *setting, struct metrics *m)
{
    struct route *route = &p->routes[index];

    route->publish = p;
    trouble_topic_init(&route->trouble, p->client.names[index], setting);
    lane_init(&route->lane);
    TAILQ_INIT(&route->refused);
    p->backlog.lanes[index].lane = &route->lane;
    p->backlog.lanes[index].owner = route;
    route->delivered = route_counter(route, "delivered", m);
    route->retried = route_counter(route, "retried", m);
}

static void metrics_make(struct publish *p, struct metrics *m)
{
    p->too_large = metrics_counter(m, "sitewatch_events_dropped", "Events that were given up.",
                                   "reason=\"too_large\"");
    p->queue_full = metrics_counter(m, "sitewatch_queue_full",
                                    "Events that found the queue to Kafka full and waited.", NULL);
    p->restarts = metrics_counter(m, "sitewatch_producer_restarts",
                                  "Kafka producers that failed for good and were made anew.", NULL);
    p->queued_gauge =
        metrics_gauge(m, "sitewatch_events_queued",
                      "Events handed to librdkafka that are not acknowledged yet.", NULL);
    p->waiting_gauge = metrics_gauge(m, "sitewatch_events_waiting",
                                     "Events that wait to be handed to librdkafka.", NULL);
}

static int check_topics(const struct publish_settings *settings, struct err *err)
{
    if (kafka_topic_check(settings->topic_success, topic_settings[ROUTE_SUCCESS], err) < 0) {
        return -1;
    }
    return kafka_topic_check(settings->topic_failure, topic_settings[ROUTE_FAILURE], err);
}

int publish_check(const struct publish_settings *settings, struct err *err)
{
    return check_topics(settings, err) < 0 ? -1 : client_check(&settings->kafka, err);
}

struct publish *publish_new(const struct publish_settings *settings, struct metrics *m,
                            struct err *err)
{
    const char *const topics[ROUTES] = {
        [ROUTE_SUCCESS] = settings->topic_success, [ROUTE_FAILURE] = settings->topic_failure};

    if (check_topics(settings, err) < 0) {
        return NULL;
    }

    struct publish *p = mem_alloc(1, sizeof(*p));
    pthread_mutex_init(&p->mutex, NULL);
    p->on_room = settings->on_room;
    p->context = settings->context;
    atomic_store(&p->room, true);
    p->told_ns = TIME_NEVER;

    const struct client_callbacks callbacks = {on_delivery, on_error, p};

    trouble_init(&p->trouble);
    if (client_init(&p->client, &settings->kafka, topics, &callbacks, err) != 0) {
        client_clear(&p->client);
        pthread_mutex_destroy(&p->mutex);
        free(p);
        return NULL;
    }
    p->restart_ns = clock_mono_ns() + RETRY_NS;
    for (size_t i = 0; i < ROUTES; i++) {
        route_init(p, i, topic_settings[i], m);
    }
    metrics_make(p, m);
    if (settings->spool_file == NULL) {
        spool_show_none(m);
    } else {
        p->backlog.spool =
            spool_new(settings->spool_file, settings->spool_bytes_max, p->client.fd, m, err);
        if (p->backlog.spool == NULL) {
            publish_free(p);
            return NULL;
        }
    }
    return p;
}

void publish_free(struct publish *p)
{
    if (p == NULL) {
        return;
    }
    client_end(&p->client); /* first: librdkafka reads the events that it was handed */
    for (size_t i = 0; i < ROUTES; i++) {
        struct route *route = &p->routes[i];
        struct held *held;

        lane_clear(&route->lane);
        while ((held = TAILQ_FIRST(&route->refused)) != NULL) {
            TAILQ_REMOVE(&route->refused, held, link);
            held_free(held);
        }
    }
    spool_free(p->backlog.spool); /* it writes to the client's descriptor */
    client_clear(&p->client);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

/* One line about trouble with a topic, whose events wait. */
static void explain(struct route *route, rd_kafka_resp_err_t code, int64_t now_ns)
{
    enum trouble_kind kind = TROUBLE_DELIVERY;

    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        kind = TROUBLE_NO_TOPIC;
    } else if (is_size(code)) {
        kind = TROUBLE_REQUEST_SIZE;
    }
    trouble_failed(&route->trouble, kind, rd_kafka_err2str(code), route->lane.waiting, now_ns);
}

/* Gives an event up. */
static void drop(struct route *route, struct held *held, int64_t now_ns)
{
    metric_add(route->publish->too_large, 1);
    trouble_dropped(&route->trouble, &held->message, now_ns);
    backlog_forget(&route->publish->backlog, held);
    held_free(held);
}

static void route_hand_over(struct publish *p, struct route *route, int64_t now_ns)
{
    rd_kafka_topic_t *topic = p->client.topics[route - p->routes];
    const struct trouble_facts now = facts(p);
    struct held *held;

    while ((held = lane_peek(&route->lane)) != NULL) {
        rd_kafka_resp_err_t code = message_produce(&held->message, p->client.kafka, topic, held);

        switch (code) {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            lane_queued(&route->lane);
            break;
        case RD_KAFKA_RESP_ERR__QUEUE_FULL:
            p->full_until_ns = now_ns + RETRY_NS;
            trouble_full(&p->trouble, &now, now_ns);
            return;
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: /* by itself: it is alone here */
            lane_remove(&route->lane, held);
            drop(route, held, now_ns);
            break;
        case RD_KAFKA_RESP_ERR__FATAL: /* publish_poll sees to it */
            route->retry_ns = now_ns;
            return;
        default:
            route->retry_ns = now_ns + RETRY_NS;
            explain(route, code, now_ns);
            return;
        }
    }
}

static void hand_over(struct publish *p, int64_t now_ns)
{
    for (size_t i = 0; i < ROUTES; i++) {
        if (p->client.kafka != NULL && now_ns >= p->full_until_ns &&
            now_ns >= p->routes[i].retry_ns) {
            route_hand_over(p, &p->routes[i], now_ns);
        }
    }
}

static int64_t next_due_ns(const struct publish *p)
{
    int64_t due_ns = backlog_due_ns(&p->backlog);

    if (p->client.kafka == NULL) {
        return p->restart_ns < due_ns ? p->restart_ns : due_ns;
    }
    for (size_t i = 0; i < ROUTES; i++) {
        const struct route *route = &p->routes[i];
        int64_t allowed_ns =
            route->retry_ns > p->full_until_ns ? route->retry_ns : p->full_until_ns;

        if (lane_peek(&route->lane) != NULL && allowed_ns < due_ns) {
            due_ns = allowed_ns;
        }
    }
    return due_ns;
}

/* What others see of us, after each change. */
static void state_show(struct publish *p)
{
    bool room =
        (waiting(p) == 0 && !backlog_is_behind(&p->backlog)) || backlog_has_room(&p->backlog);

    metric_set(p->waiting_gauge, (int64_t)waiting(p));
    metric_set(p->queued_gauge, (int64_t)(pending(p) - waiting(p)));
    if (atomic_exchange(&p->room, room) != room && room && p->on_room != NULL) {
        p->on_room(p->context);
    }
}

static void event_add(struct publish *p, unsigned index, struct held *held)
{
    struct route *route = &p->routes[index];
    size_t waited = route->lane.waiting;
    int64_t now_ns = clock_mono_ns();
    bool in_lane = backlog_add(&p->backlog, index, held, now_ns);

    if (in_lane) {
        hand_over(p, now_ns);
    }
    if (p->trouble.full && (!in_lane || route->lane.waiting > waited)) {
        p->trouble.full_events++;
        metric_add(p->queue_full, 1);
    }
    state_show(p);
    if (next_due_ns(p) < p->told_ns) {
        p->told_ns = 0; /* once */
        wakeup_ring(p->client.fd);
    }
}

void publish_event(struct publish *p, const struct event *event)
{
    bool good = event->status == CHECK_UP || event->status == CHECK_DEGRADED;
    unsigned index = good ? ROUTE_SUCCESS : ROUTE_FAILURE;
    struct held *held = held_new(event, &p->routes[index]); /* most of the work, without the lock */

    pthread_mutex_lock(&p->mutex);
    event_add(p, index, held);
    pthread_mutex_unlock(&p->mutex);
}

/* What was handed over and not acknowledged waits again. */
static void end_client(struct publish *p)
{
    client_end(&p->client);
    for (size_t i = 0; i < ROUTES; i++) {
        lane_failed_all(&p->routes[i].lane);
        p->routes[i].failed = 0; /* by the end of the producer, which is no reason to wait */
        p->routes[i].retry_ns = 0;
    }
    p->full_until_ns = 0;
}

/* A fatal error is one after which librdkafka takes and sends nothing more. */
static void end_if_failed(struct publish *p, int64_t now_ns)
{
    char reason[400];

    if (rd_kafka_fatal_error(p->client.kafka, reason, sizeof(reason)) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    end_client(p);
    metric_add(p->restarts, 1);
    trouble_restart(&p->trouble, true, reason, waiting(p), now_ns);
}

static void start_again(struct publish *p, int64_t now_ns)
{
    struct err err;

    if (now_ns < p->restart_ns) {
        return;
    }
    p->restart_ns = now_ns + RETRY_NS;
    if (client_start(&p->client, &err) != 0) {
        trouble_restart(&p->trouble, false, err.message, waiting(p), now_ns);
    }
}

/* Acts on what delivery reports noted. */
static void route_settle(struct route *route, int64_t now_ns)
{
    struct held *held;

    while ((held = TAILQ_FIRST(&route->refused)) != NULL) {
        TAILQ_REMOVE(&route->refused, held, link);
        drop(route, held, now_ns);
    }
    if (route->failed > 0) {
        route->failed = 0;
        route->retry_ns = now_ns + RETRY_NS;
        route->publish->backlog.lanes[route - route->publish->routes].save_all = true;
        explain(route, route->failed_code, now_ns);
    }
}

static void poll_once(struct publish *p)
{
    wakeup_take(p->client.fd);
    if (p->client.kafka != NULL) {
        rd_kafka_poll(p->client.kafka, 0);
    }

    int64_t now_ns = clock_mono_ns();

    if (p->client.kafka != NULL) {
        end_if_failed(p, now_ns);
    }
    if (p->client.kafka == NULL) {
        start_again(p, now_ns);
    }
    for (size_t i = 0; i < ROUTES; i++) {
        route_settle(&p->routes[i], now_ns);
    }
    if (p->reported) {
        p->full_until_ns = 0; /* each report is room for one more */
    }
    backlog_turn(&p->backlog, now_ns);
    hand_over(p, now_ns);
    backlog_ask(&p->backlog);

    const struct trouble_facts now = facts(p);

    trouble_settle(&p->trouble, &now, now_ns);
    state_show(p);
    p->reported = p->delivered = p->brokers_down = false;
}

void publish_poll(struct publish *p)
{
    pthread_mutex_lock(&p->mutex);
    poll_once(p);
    pthread_mutex_unlock(&p->mutex);
}

void publish_renew(struct publish *p)
{
    pthread_mutex_lock(&p->mutex);
    end_client(p);
    p->restart_ns = 0;
    poll_once(p);
    pthread_mutex_unlock(&p->mutex);
}

int64_t publish_next_due_ns(struct publish *p)
{
    pthread_mutex_lock(&p->mutex);

    int64_t due_ns = next_due_ns(p);

    p->told_ns = due_ns;
    pthread_mutex_unlock(&p->mutex);
    return due_ns;
}

bool publish_has_room(const struct publish *p)
{
    return atomic_load(&p->room);
}

int publish_fd(const struct publish *p)
{
    return p->client.fd;
}

size_t publish_pending(struct publish *p)
{
    pthread_mutex_lock(&p->mutex);

    size_t events = pending(p);

    pthread_mutex_unlock(&p->mutex);
    return events;
}

/* Waits until nothing in memory is pending, or waiting for it is of no use. */
static void deliver(struct publish *p, int64_t until_ns)
{
    for (;;) {
        poll_once(p);

        int64_t now_ns = clock_mono_ns();
        int64_t due_ns = next_due_ns(p);
        bool useless = p->trouble.down && backlog_has_room(&p->backlog);

        if (pending(p) == 0 || now_ns >= until_ns || useless) {
            return;
        }

        int64_t left_ns = (due_ns < until_ns ? due_ns : until_ns) - now_ns;
        int wait_ms = (int)((left_ns > 0 ? left_ns : 0) / NS_PER_MS) + 1;

        if (wait_ms > FLUSH_SLICE_MS) {
            wait_ms = FLUSH_SLICE_MS;
        }
        if (p->client.kafka != NULL && pending(p) > waiting(p)) {
            rd_kafka_flush(p->client.kafka, wait_ms); /* sends at once, without linger.ms */
        } else {
            struct pollfd ready = {.fd = p->client.fd, .events = POLLIN};

            poll(&ready, 1, wait_ms);
        }
    }
}

/* What is left goes to the disk. */
static int save_rest(struct publish *p, struct err *err)
{
    size_t left = pending(p);

    if (left == 0 && !backlog_is_behind(&p->backlog)) {
        return 0;
    }
    if (backlog_save(&p->backlog, err) < 0) {
        return err_context(err, "%zu events are not delivered", left);
    }
    log_write(LOG_INFO, "events are kept in the spool", LOG_I("from_memory", left));
    return 0;
}

static int flush(struct publish *p, int64_t timeout_ms, struct err *err)
{
    p->backlog.ending = true;
    deliver(p, clock_mono_ns() + timeout_ms * NS_PER_MS);
    p->backlog.ending = false;
    if (p->backlog.spool != NULL) {
        return save_rest(p, err);
    }
    if (pending(p) > 0) {
        return err_set(err, ERR_RETRY, "%zu events are not delivered after %" PRId64 " ms",
                       pending(p), timeout_ms);
    }
    return 0;
}

int publish_flush(struct publish *p, int64_t timeout_ms, struct err *err)
{
    pthread_mutex_lock(&p->mutex);

    int rc = flush(p, timeout_ms, err);

    pthread_mutex_unlock(&p->mutex);
    return rc;
}
