#include "producer/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sink_flush(FILE *out, struct err *err)
{
    if (fflush(out) != 0 || ferror(out)) {
        return err_set(err, ERR_FATAL, "standard output: %s", strerror(errno));
    }
    return 0;
}

int sink_print_json(FILE *out, const struct event *event, struct err *err)
{
    size_t len;
    char *json = event_encode(event, &len);

    fwrite(json, 1, len, out);
    fputc('\n', out);
    free(json);
    return sink_flush(out, err);
}
