/* What loops are told: steps, and the files that their handshakes need. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/siteset_internal.h"

#define ROOM_FIRST 16

struct site_change *site_change_new(size_t parts)
{
    struct site_change *change = mem_alloc(1, sizeof(*change));

    change->part_count = parts;
    change->parts = mem_alloc(parts, sizeof(change->parts[0]));
    return change;
}

void site_change_add(struct site_change *change, size_t part, struct site_step step)
{
    struct site_steps *steps = &change->parts[part];

    if (steps->count == steps->room) {
        steps->room = steps->room == 0 ? ROOM_FIRST : 2 * steps->room;
        steps->steps = mem_resize(steps->steps, steps->room, sizeof(steps->steps[0]));
    }
    steps->steps[steps->count++] = step;
    change->steps_count++;
    if (step.enters != NULL && step.at_once) {
        change->at_once++;
    }
}

/* --- Files --- */

/* NULL is before all texts. */
static int compare_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_files(const void *a, const void *b)
{
    const struct site_files *x = a, *y = b;
    int order = compare_texts(x->ca_file, y->ca_file);

    order = order != 0 ? order : compare_texts(x->cert_file, y->cert_file);
    return order != 0 ? order : compare_texts(x->key_file, y->key_file);
}

void site_change_add_files(struct site_change *change, const struct site *site)
{
    const struct site_files none = {0};
    const struct site_files files = {site->ca_file, site->cert_file, site->key_file};
    size_t count = change->file_count;

    /* Most sites have none, or those of the site before. */
    if (compare_files(&files, &none) == 0 ||
        (count > 0 && compare_files(&files, &change->files[count - 1]) == 0)) {
        return;
    }
    if ((count & (count - 1)) == 0) { /* full: it has room for a power of two */
        change->files =
            mem_resize(change->files, count == 0 ? 1 : 2 * count, sizeof(change->files[0]));
    }
    change->files[change->file_count++] = files;
}

void site_change_end(struct site_change *change)
{
    struct site_files *list = change->files;
    size_t kept = 0;

    if (change->file_count == 0) {
        return;
    }
    qsort(list, change->file_count, sizeof(list[0]), compare_files);
    for (size_t i = 0; i < change->file_count; i++) {
        if (kept == 0 || compare_files(&list[i], &list[kept - 1]) != 0) {
            list[kept++] = (struct site_files){mem_copy_string(list[i].ca_file),
                                               mem_copy_string(list[i].cert_file),
                                               mem_copy_string(list[i].key_file)};
        }
    }
    change->file_count = kept;
}

void site_change_free(struct site_change *change)
{
    if (change == NULL) {
        return;
    }
    for (size_t i = 0; i < change->file_count; i++) {
        free(change->files[i].ca_file);
        free(change->files[i].cert_file);
        free(change->files[i].key_file);
    }
    free(change->files);
    for (size_t i = 0; i < change->part_count; i++) {
        struct site_steps *part = &change->parts[i];

        for (; part->made < part->count; part->made++) {
            if (part->steps[part->made].leaves != NULL) {
                member_leave(part->steps[part->made].leaves);
            }
        }
        free(part->steps);
    }
    free(change->parts);
    free(change);
}
