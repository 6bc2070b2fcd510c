/*
 * Any text as a targets file: it is refused with one line, or its sites are whole. An @include is
 * taken out first, so that nothing but the text is read.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libconfig loses the last string it has read when the next word is a mistake. */
const char *__lsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier) */

const char *__lsan_default_suppressions(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return "leak:libconfig.so\n";
}

static void check_site(const struct site *site)
{
    struct site copy;
    struct err err;

    assert(site->name != NULL && site->url != NULL);
    assert(site->seconds >= 1 && site->seconds <= SITE_SECONDS_MAX);
    assert(site->timeout_ms >= 1 && site->timeout_ms <= site->seconds * 1000);
    assert(site->status.count > 0);
    site_copy(&copy, site);
    assert(site_equal(site, &copy));
    assert(site_finish(&copy, &err) == 0 && site_equal(site, &copy));
    free(site_config_json(&copy));
    site_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_copy((const char *)data, size);
    char path[64];
    struct targets targets;
    struct err err;
    int fd = memfd_create("targets", MFD_CLOEXEC);

    for (char *c = memchr(text, '@', size); c != NULL;
         c = memchr(c, '@', size - (size_t)(c - text))) {
        *c = '#';
    }
    assert(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (targets_load(path, NULL, &targets, &err) == 0) {
        assert(targets.count > 0);
        for (size_t i = 0; i < targets.count; i++) {
            check_site(&targets.sites[i]);
        }
        targets_free(&targets);
    } else {
        assert(err.kind == ERR_INVALID && strncmp(err.message, path, strlen(path)) == 0);
    }
    close(fd);
    free(text);
    return 0;
}
