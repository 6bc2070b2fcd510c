#include "producer/resolver_channel.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

/* It counts its callers without a lock, and each thread has a resolver. */
static void open_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int open_channel(const struct resolver_settings *settings, enum resolver_transport transport,
                        ares_sock_state_cb on_socket, void *context, ares_channel *channel,
                        struct err *err)
{
    static char servers_alone[] = "b"; /* the hosts file is resolver_hosts' */
    struct ares_options options = {
        /* A host of a URL is a whole name: a search domain behind it would be another site. 1.18
         * does not heed the flag, but that there are no domains. */
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                 (transport == RESOLVER_UDP_ALONE ? ARES_FLAG_IGNTC : 0),
        .ndomains = 0,
        .timeout = (int)settings->timeout_ms,
        .tries = (int)settings->tries,
        .lookups = servers_alone,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = context,
    };
    int wanted = ARES_OPT_FLAGS | ARES_OPT_DOMAINS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                 ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

#ifdef ARES_OPT_QUERY_CACHE
    options.qcache_max_ttl = 0; /* the cache is ours, with our bounds */
    wanted |= ARES_OPT_QUERY_CACHE;
#endif
    pthread_once(&library_once, open_library);
    int status = library_status;

    if (status == ARES_SUCCESS) {
        status = ares_init_options(channel, &options, wanted);
    }
    if (status != ARES_SUCCESS) {
        return err_set(err, ERR_FATAL, "cannot set up name resolution: %s", ares_strerror(status));
    }
    return 0;
}

int resolver_channel_open(const struct resolver_settings *settings,
                          enum resolver_transport transport, ares_sock_state_cb on_socket,
                          void *context, ares_channel *channel, struct err *err)
{
    const char *servers = settings->servers;
    ares_channel opened;

    assert(settings->timeout_ms > 0 && settings->timeout_ms <= INT_MAX);
    assert(settings->tries > 0 && settings->tries <= INT_MAX);
    if (open_channel(settings, transport, on_socket, context, &opened, err) < 0) {
        return -1;
    }
    /* An empty list would be taken, and then nobody asked. */
    if (servers != NULL &&
        (servers[0] == '\0' || ares_set_servers_ports_csv(opened, servers) != ARES_SUCCESS)) {
        ares_destroy(opened);
        return err_set(err, ERR_INVALID,
                       "name servers \"%s\": want addresses as in 127.0.0.1:5353,[::1]:53",
                       servers);
    }
    *channel = opened;
    return 0;
}

enum resolver_outcome resolver_channel_outcome(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return RESOLVER_FOUND;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
        return RESOLVER_NOT_FOUND;
    case ARES_ETIMEOUT:
        return RESOLVER_TIMEOUT;
    case ARES_ECONNREFUSED:
        return RESOLVER_NO_SERVER;
    case ARES_EBADNAME:
        return RESOLVER_BAD_NAME;
    default:
        return RESOLVER_FAILURE;
    }
}

bool resolver_channel_may_ask(const char **reason)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        *reason = strerror(errno);
        return false;
    }
    close(fd);
    return true;
}

int resolver_channel_read(const struct ares_addrinfo *result, struct resolver_addresses *found)
{
    int ttl_s = INT_MAX;

    for (const struct ares_addrinfo_node *n = result->nodes; n != NULL; n = n->ai_next) {
        struct resolver_address address;

        if (resolver_address_from(n->ai_addr, &address)) {
            resolver_addresses_add(found, &address, RESOLVER_ANY);
        }
        ttl_s = n->ai_ttl < ttl_s ? n->ai_ttl : ttl_s;
    }
    for (const struct ares_addrinfo_cname *c = result->cnames; c != NULL; c = c->next) {
        ttl_s = c->ttl < ttl_s ? c->ttl : ttl_s;
    }
    return ttl_s;
}
