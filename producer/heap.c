#include "producer/heap.h"

#ifdef HAVE_TCMALLOC

#include <gperftools/malloc_extension_c.h>

void heap_give_back(void)
{
    MallocExtension_ReleaseFreeMemory();
}

#else

#include <malloc.h>

void heap_give_back(void)
{
    malloc_trim(0);
}

#endif
