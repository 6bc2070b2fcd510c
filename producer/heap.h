/*
 * heap - memory that was freed goes back to the system.
 *
 * The producer is linked with tcmalloc, which gives it back little by little
 * (docs/architecture.md), but in builds without it (make ALLOCATOR=).
 */
#ifndef PRODUCER_HEAP_H
#define PRODUCER_HEAP_H

/* All that is free, now: after work that took several times of what stays. Takes milliseconds. */
void heap_give_back(void);

#endif
