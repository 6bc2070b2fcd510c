/*
 * The consumer without state, incidents and the marks of rollups: rows and offsets alone. Linked
 * into a tree of its own (make bench-sink) with --wrap for these two, so that what they cost can
 * be measured; no such switch is in the program.
 */
#include "consumer/store_internal.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
int __wrap_store_state_resolve(struct store *s, const struct batch *batch, struct err *err);
int __wrap_store_state_write(struct store *s, const struct batch *batch, bool all_late,
                             struct err *err);

int __wrap_store_state_resolve(struct store *s, const struct batch *batch, struct err *err)
{
    (void)s;
    (void)batch;
    (void)err;
    return 0;
}

int __wrap_store_state_write(struct store *s, const struct batch *batch, bool all_late,
                             struct err *err)
{
    (void)s;
    (void)batch;
    (void)all_late;
    (void)err;
    return 0;
}
/* NOLINTEND */
