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

int source_load(const struct options *o, struct targets *targets, struct err *err)
{
    if (o->url != NULL && o->targets_file != NULL) {
        return err_set(err, ERR_INVALID, "give --url or a targets file, not both");
    }
    if (o->url != NULL) {
        return one_site(o, targets, err);
    }
    if (o->pattern != NULL) {
        return err_set(err, ERR_INVALID, "--pattern goes with --url");
    }
    if (o->targets_file == NULL) {
        return err_set(err, ERR_INVALID,
                       "nothing to check: give --url URL or --targets-file FILE (TARGETS_FILE)");
    }
    return targets_load(o->targets_file, targets, err);
}
