#include "producer/options.h"

#include <stddef.h>

#include "common/digits.h"
#include "common/event.h"
#include "common/site.h"
#include "common/utf8.h"
#include "producer/crew.h"
#include "producer/latest.h"

#define FIELD(name) offsetof(struct options, name)

static const char *const outputs[] = {"auto", "kafka", "json",
                                      NULL}; /* in the order of enum output */

static const struct setting settings[] = {
    COMMON_OPTIONS_ROWS(struct options, common, "LISTEN", COMMON_LISTEN_HELP(PRODUCER_LISTEN)),
    {.name = "url",
     .type = SETTING_TEXT,
     .flags = SETTING_FLAG_ONLY,
     .offset = FIELD(url),
     .value_name = "URL",
     .help = "check this one site"},
    {.name = "seconds",
     .type = SETTING_INT,
     .flags = SETTING_FLAG_ONLY,
     .offset = FIELD(seconds),
     .fallback = DIGITS(SITE_SECONDS_DEFAULT),
     .min = 1,
     .max = SITE_SECONDS_MAX,
     .value_name = "N",
     .help = "with --url: the interval between two checks"},
    {.name = "pattern",
     .type = SETTING_TEXT,
     .flags = SETTING_FLAG_ONLY,
     .offset = FIELD(pattern),
     .value_name = "RE",
     .help = "with --url: a regular expression (PCRE2) that the body must match"},
    {.name = "targets-file",
     .env = "TARGETS_FILE",
     .type = SETTING_TEXT,
     .offset = FIELD(targets_file),
     .value_name = "FILE",
     .help = "check the sites of this file; SIGHUP reads it again"},
    {.name = "targets-topic",
     .env = "TARGETS_TOPIC",
     .type = SETTING_TEXT,
     .offset = FIELD(targets_topic),
     .value_name = "TOPIC",
     .help = "check the sites of this topic, shared among all producers of the location; also "
             "beside --targets-file or --url"},
    {.name = "kafka-topic-sites",
     .env = "KAFKA_TOPIC_SITES",
     .type = SETTING_TEXT,
     .offset = FIELD(topic_sites),
     .value_name = "TOPIC",
     .help = "topic of the sites, read when nothing else says what to check"},
    COMMON_SECRET_KEY_ROW(struct options),
    {.name = "once",
     .type = SETTING_BOOL,
     .flags = SETTING_FLAG_ONLY,
     .offset = FIELD(once),
     .help =
         "check every site once, print a line each, and exit 1 if any is not up; without Kafka"},
    {.name = "watch",
     .type = SETTING_BOOL,
     .flags = SETTING_FLAG_ONLY,
     .offset = FIELD(watch),
     .help = "show every site and its last checks on the terminal, the worst first; without Kafka, "
             "unless --output kafka asks for it"},
    {.name = "output",
     .env = "OUTPUT",
     .type = SETTING_CHOICE,
     .offset = FIELD(output),
     .fallback = "auto",
     .choices = outputs,
     .value_name = "WHERE",
     .help = "where events go: to Kafka, or as JSON on the standard output, one a line; auto: to "
             "Kafka, but nowhere with --once or --watch"},
    {.name = "location",
     .env = "LOCATION",
     .type = SETTING_TEXT,
     .offset = FIELD(location),
     .fallback = "local",
     .value_name = "NAME",
     .help = "the place we check from; producers of one location share its sites"},
    {.name = "observer",
     .env = "OBSERVER",
     .type = SETTING_TEXT,
     .offset = FIELD(observer),
     .value_name = "NAME",
     .help = "the name of this host in events (default: the host's name)"},
    {.name = "check-on-start",
     .env = "CHECK_ON_START",
     .type = SETTING_MAYBE,
     .offset = FIELD(check_on_start),
     .help = "check every site when we start; without it only --url and sites with intervals over "
             "60 s are, others wait for their next slot; --check-on-start=no: all wait"},
    {.name = "threads",
     .env = "THREADS",
     .type = SETTING_INT,
     .offset = FIELD(threads),
     .fallback = "1",
     .min = 1,
     .max = CREW_LOOPS_MAX,
     .value_name = "N",
     .help = "threads that make checks; each site belongs to one of them"},
    {.name = "in-flight-max",
     .env = "IN_FLIGHT_MAX",
     .type = SETTING_INT,
     .offset = FIELD(in_flight_max),
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .value_name = "N",
     .help = "checks at a time at the most; also limited by the descriptors we may have"},
    {.name = "site-metrics-max",
     .env = "SITE_METRICS_MAX",
     .type = SETTING_INT,
     .offset = FIELD(site_metrics_max),
     .fallback = "100000",
     .min = 0,
     .max = LATEST_SITES_MAX,
     .value_name = "N",
     .help = "show the last result of so many sites at /metrics, as probe_*; 0: of none"},
    COMMON_DRAIN_ROW(struct options),
    {.name = "dns-servers",
     .env = "DNS_SERVERS",
     .type = SETTING_TEXT,
     .offset = FIELD(dns_servers),
     .value_name = "ADDR:PORT,...",
     .help = "name servers (default: those of /etc/resolv.conf)"},
    {.name = "dns-timeout-ms",
     .env = "DNS_TIMEOUT_MS",
     .type = SETTING_INT,
     .offset = FIELD(dns_timeout_ms),
     .fallback = "2000",
     .min = 10,
     .max = 60000,
     .value_name = "MS",
     .help = "how long to wait for one answer of one name server"},
    {.name = "dns-tries",
     .env = "DNS_TRIES",
     .type = SETTING_INT,
     .offset = FIELD(dns_tries),
     .fallback = "2",
     .min = 1,
     .max = 10,
     .value_name = "N",
     .help = "how often to ask each name server"},
    {.name = "dns-ttl-min-s",
     .env = "DNS_TTL_MIN_S",
     .type = SETTING_INT,
     .offset = FIELD(dns_ttl_min_s),
     .fallback = "1",
     .min = 0,
     .max = 86400,
     .value_name = "S",
     .help = "keep an answer at least so long"},
    {.name = "dns-ttl-max-s",
     .env = "DNS_TTL_MAX_S",
     .type = SETTING_INT,
     .offset = FIELD(dns_ttl_max_s),
     .fallback = "300",
     .min = 0,
     .max = 86400,
     .value_name = "S",
     .help = "keep an answer at most so long"},
    {.name = "dns-negative-ttl-s",
     .env = "DNS_NEGATIVE_TTL_S",
     .type = SETTING_INT,
     .offset = FIELD(dns_negative_ttl_s),
     .fallback = "5",
     .min = 0,
     .max = 86400,
     .value_name = "S",
     .help = "keep so long that a name does not exist"},
    {.name = "probe-self",
     .env = "PROBE_SELF",
     .type = SETTING_TEXT,
     .offset = FIELD(probe_self),
     .value_name = "HOST:PORT,...",
     .help = "addresses, or URLs, that can be connected to while our own network works; a check "
             "that reaches nothing is unknown, not down, while none of them can be; without "
             "any, it is down"},
    KAFKA_SETTINGS_ROWS(struct options, kafka),
    COMMON_TOPIC_ROWS(struct options),
    {.name = "spool-file",
     .env = "SPOOL_FILE",
     .type = SETTING_TEXT,
     .offset = FIELD(spool_file),
     .value_name = "FILE",
     .help = "keep events here that Kafka does not take, so that checks go on and a kill loses "
             "none; off: nowhere; default spool.sqlite in STATE_DIRECTORY, which systemd sets, "
             "and off without it"},
    {.name = "spool-max-mb",
     .env = "SPOOL_MAX_MB",
     .type = SETTING_INT,
     .offset = FIELD(spool_max_mb),
     .fallback = "1024",
     .min = 1,
     .max = 1048576,
     .value_name = "MB",
     .help = "size of that file at the most; then its oldest events are dropped"},
};

const struct settings_table producer_options = {
    .program = "producer",
    .usage = "[--url URL --seconds N [--pattern RE] | --targets-file FILE] [--targets-topic TOPIC] "
             "[options]",
    .purpose = "check web sites and emit one event a check to Kafka",
    .settings = settings,
    .count = sizeof(settings) / sizeof(settings[0]),
};

/* A name that stands in every event. */
static int check_name(const char *setting, const char *text, struct err *err)
{
    if (utf8_is_name(text, EVENT_LOCATION_BYTES_MAX)) {
        return 0;
    }
    return err_set(err, ERR_INVALID, "%s: want 1 to %d bytes of UTF-8, on one line", setting,
                   EVENT_LOCATION_BYTES_MAX);
}

int options_check(const struct options *o, struct err *err)
{
    if (o->watch && o->once) {
        return err_set(err, ERR_INVALID, "give --once or --watch, not both");
    }
    if (o->once && o->output == OUTPUT_KAFKA) {
        return err_set(err, ERR_INVALID,
                       "--once sends nothing to Kafka: take --output kafka (OUTPUT) away, or give "
                       "--output auto");
    }
    if (o->watch && o->output == OUTPUT_JSON) {
        return err_set(err, ERR_INVALID, "--watch and --output json are both for the terminal");
    }
    if (o->url == NULL && (o->pattern != NULL || o->seconds != SITE_SECONDS_DEFAULT)) {
        return err_set(err, ERR_INVALID, "%s goes with --url",
                       o->pattern != NULL ? "--pattern" : "--seconds");
    }
    if (check_name("location", o->location, err) < 0) {
        return -1;
    }
    return o->observer == NULL ? 0 : check_name("observer", o->observer, err);
}

bool options_want_kafka(const struct options *o)
{
    return !o->once && (o->output == OUTPUT_KAFKA || (o->output == OUTPUT_AUTO && !o->watch));
}
