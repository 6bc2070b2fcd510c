/*
 * curlprobe - checks made with libcurl and epoll, and nothing around them: what a check costs
 * before it is scheduled, judged, described and delivered.
 *
 * Handles are pooled. Connections are fresh unless -k is given; TLS is verified with the given
 * authorities, read once where libcurl does so, and sessions are resumed only with -z.
 */
#include "bench/limit.h"

#include <curl/curl.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/mem.h"

#define STARTS_A_TURN 64

struct check {
    CURL *handle;
    size_t len;
    char body[LIMIT_BODY_MAX];
};

static struct limit limit;
static struct check *checks;
static unsigned *idle; /* indexes of checks that nobody uses */
static unsigned idle_count;
static CURLM *multi;
static CURLSH *sessions;
static struct curl_slist *headers;
static double timer_s = -1; /* when libcurl wants to be called; negative: not at all */
static int poller;

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct check *check = context;
    size_t len = size * count;

    if (len > sizeof(check->body) - check->len) {
        return 0;
    }
    memcpy(check->body + check->len, bytes, len);
    check->len += len;
    return len;
}

static int on_socket(CURL *handle, curl_socket_t fd, int what, void *context, void *known)
{
    struct epoll_event event = {.data.fd = fd};

    (void)handle;
    (void)context;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event);
        curl_multi_assign(multi, fd, NULL);
        return 0;
    }
    event.events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U);
    epoll_ctl(poller, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(multi, fd, &poller);
    return 0;
}

static int on_timer(CURLM *of, long ms, void *context)
{
    (void)of;
    (void)context;
    timer_s = ms < 0 ? -1 : limit_now_s() + (double)ms / 1000;
    return 0;
}

static void set_up(struct check *check)
{
    CURL *h = check->handle = curl_easy_init();

    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, check);
    curl_easy_setopt(h, CURLOPT_PRIVATE, (void *)check);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_SSL_SESSIONID_CACHE, limit.resume ? 1L : 0L);
    if (!limit.reuse) {
        curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    }
    if (limit.ca_file != NULL) {
        curl_easy_setopt(h, CURLOPT_CAINFO, limit.ca_file);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL); /* with a path libcurl caches no authorities */
    }
    if (limit.resume) {
        curl_easy_setopt(h, CURLOPT_SHARE, sessions);
    }
}

static void start(void)
{
    struct check *check = &checks[idle[--idle_count]];
    unsigned site = (unsigned)(limit.starts++ % limit.sites);
    char url[96];

    if (check->handle == NULL) {
        set_up(check);
    }
    snprintf(url, sizeof(url), "%s://127.0.0.%u:%u/t/%u", limit.ca_file == NULL ? "http" : "https",
             1 + site % limit.addresses, limit.port, site);
    curl_easy_setopt(check->handle, CURLOPT_URL, url);
    check->len = 0;
    curl_multi_add_handle(multi, check->handle);
}

static void finish_all(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURL *handle = message->easy_handle;
        CURLcode result = message->data.result;
        struct check *check = NULL;
        long status = 0;

        curl_easy_getinfo(handle, CURLINFO_PRIVATE, (char **)&check);
        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
        limit_count(&limit, result == CURLE_OK && status == 200, check->body, check->len);
        curl_multi_remove_handle(multi, handle);
        idle[idle_count++] = (unsigned)(check - checks);
    }
}

static void act(const struct epoll_event *ready, int count)
{
    int running;

    for (int i = 0; i < count; i++) {
        unsigned events = ready[i].events;
        int what = ((events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                   ((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(multi, ready[i].data.fd, what, &running);
    }
    if (timer_s >= 0 && limit_now_s() >= timer_s) {
        timer_s = -1;
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all();
}

static void open_all(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
    headers = curl_slist_append(NULL, "Connection: close");
    sessions = curl_share_init();
    curl_share_setopt(sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)LIMIT_IN_FLIGHT_MAX);
    poller = epoll_create1(EPOLL_CLOEXEC);
    checks = mem_alloc(limit.in_flight, sizeof(*checks));
    idle = mem_alloc(limit.in_flight, sizeof(*idle));
    for (unsigned i = 0; i < limit.in_flight; i++) {
        idle[idle_count++] = limit.in_flight - 1 - i;
    }
}

static void close_all(void)
{
    for (unsigned i = 0; i < limit.in_flight; i++) {
        if (checks[i].handle != NULL) {
            curl_multi_remove_handle(multi, checks[i].handle);
            curl_easy_cleanup(checks[i].handle);
        }
    }
    curl_multi_cleanup(multi);
    curl_share_cleanup(sessions);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    free(idle);
    free(checks);
}

int main(int argc, char **argv)
{
    if (limit_read(&limit, argc, argv) != 0 || limit_start(&limit) != 0) {
        return 2;
    }
    open_all();
    while (!limit_stop) {
        struct epoll_event ready[512];
        int wait_ms = 100;
        int turn = STARTS_A_TURN;

        while (turn > 0 && idle_count > 0 && limit_due(&limit, &wait_ms)) {
            start();
            turn--;
        }
        if (turn < STARTS_A_TURN) {
            wait_ms = 0;
        } else if (timer_s >= 0) {
            double until_ms = (timer_s - limit_now_s()) * 1000;
            int timer_ms = until_ms <= 0 ? 0 : (int)until_ms + 1;
            wait_ms = timer_ms < wait_ms ? timer_ms : wait_ms;
        }
        act(ready, epoll_wait(poller, ready, 512, wait_ms));
    }
    limit_report(&limit);
    close_all();
    return 0;
}
