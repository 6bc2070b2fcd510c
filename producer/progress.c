#include "producer/progress.h"

#include <string.h>

#include "common/clock.h"

void progress_init(struct progress *p, const struct terminal *terminal, FILE *out, int64_t now_ns)
{
    *p = (struct progress){
        .terminal = terminal,
        .out = out,
        .due_ns = terminal->is_terminal ? now_ns + PROGRESS_FIRST_NS : TIME_NEVER,
    };
}

void progress_count(struct progress *p, enum check_status status)
{
    p->done++;
    p->not_up += status == CHECK_DOWN || status == CHECK_UNKNOWN;
}

void progress_hide(struct progress *p)
{
    if (p->columns > 0) {
        fprintf(p->out, "\r%*s\r", p->columns, "");
        fflush(p->out);
        p->columns = 0;
    }
}

void progress_show(struct progress *p, size_t total, int64_t now_ns)
{
    char text[96];

    if (now_ns < p->due_ns) {
        return;
    }
    p->due_ns = now_ns + PROGRESS_NS;
    snprintf(text, sizeof(text), "%zu of %zu checked, %zu not up", p->done, total, p->not_up);
    fputs("\r", p->out);
    /* Never as wide as the terminal: the line would be broken, and its first half stay. */
    p->columns = terminal_put(p->terminal, p->out, text, strlen(text),
                              p->terminal->columns > 1 ? p->terminal->columns - 1 : 1);
    fflush(p->out);
}
