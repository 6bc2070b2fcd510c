#include "producer/source.h"

#include "common/mem.h"

static int set_text(struct site *site, const char *option, const char *text, struct err *err)
{
    struct site_value value = {.type = SITE_VALUE_TEXT, .text = text};

    return text == NULL ? 0 : site_set(site, option, &value, err);
}

static int one_site(const struct options *o, struct targets *targets, struct err *err)
{
    struct site_value seconds = {.type = SITE_VALUE_INT, .integer = o->seconds};
    struct site site;

    site_init(&site);
    if (set_text(&site, "url", o->url, err) < 0 || site_set(&site, "seconds", &seconds, err) < 0 ||
        set_text(&site, "pattern", o->pattern, err) < 0 || site_finish(&site, err) < 0) {
        site_free(&site);
        return err_context(err, "command line");
    }
    targets->sites = mem_alloc(1, sizeof(targets->sites[0]));
    targets->sites[0] = site;
    targets->count = 1;
    return 0;
}

bool source_has_list(const struct options *o)
{
    return o->url != NULL || o->targets_file != NULL;
}

const char *source_topic(const struct options *o)
{
    if (source_has_list(o)) {
        return o->once ? NULL : o->targets_topic; /* a topic has no end */
    }
    return o->targets_topic != NULL ? o->targets_topic : o->topic_sites;
}

int source_check(const struct options *o, struct err *err)
{
    const char *topic = source_topic(o);

    if (o->url != NULL && o->targets_file != NULL) {
        return err_set(err, ERR_INVALID, "give --url or a targets file, not both");
    }
    if (topic == NULL && !source_has_list(o)) {
        return err_set(err, ERR_INVALID,
                       "nothing to check: give --url URL, --targets-file FILE (TARGETS_FILE) or "
                       "--targets-topic TOPIC (TARGETS_TOPIC)");
    }
    if (topic != NULL && o->once) {
        return err_set(err, ERR_INVALID,
                       "--once goes with --url or a targets file: a topic has no end");
    }
    return topic == NULL
               ? 0
               : kafka_topic_check(
                     topic, o->targets_topic != NULL ? "targets-topic" : "kafka-topic-sites", err);
}

int source_load(const struct options *o, const struct targets_check *check, struct targets *targets,
                struct err *err)
{
    return o->url != NULL ? one_site(o, targets, err)
                          : targets_load(o->targets_file, check, targets, err);
}
