#include "common/jsonprint.h"

#include <stdlib.h>

#include "common/mem.h"

char *jsonprint(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    if (text == NULL) {
        mem_stop();
    }
    cJSON_Delete(json);
    return text; /* cJSON takes it from malloc */
}
