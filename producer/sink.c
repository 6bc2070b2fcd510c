#include "producer/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define CELL_SIZE 32
#define NAME_WIDTH 40

static int flushed(FILE *out, struct err *err)
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
    return flushed(out, err);
}

/* "12.3", or "-" for what was not measured. */
static const char *in_ms(int64_t us, char cell[CELL_SIZE])
{
    if (us == EVENT_ABSENT) {
        return "-";
    }
    snprintf(cell, CELL_SIZE, "%.1f", (double)us / (double)US_PER_MS);
    return cell;
}

/* Names and messages may hold what a site sent: nothing of it may steer the terminal. */
static void print_plain(FILE *out, const char *text, int width)
{
    int printed = 0;

    for (; *text != '\0'; text++, printed++) {
        unsigned char c = (unsigned char)*text;

        fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
    fprintf(out, "%*s", printed < width ? width - printed : 0, "");
}

int sink_print_heading(FILE *out, struct err *err)
{
    fprintf(out, "%-9s %4s %9s %8s %8s %8s %8s %8s  %-*s %s\n", "STATUS", "CODE", "TOTAL_MS", "DNS",
            "CONNECT", "TLS", "WAIT", "TRANSFER", NAME_WIDTH, "SITE", "ERROR");
    return flushed(out, err);
}

int sink_print_row(FILE *out, const struct event *event, struct err *err)
{
    const struct event_timing *t = &event->timing;
    char total[CELL_SIZE];
    char dns[CELL_SIZE];
    char connect[CELL_SIZE];
    char tls[CELL_SIZE];
    char wait[CELL_SIZE];
    char transfer[CELL_SIZE];
    char code[CELL_SIZE] = "-";

    if (event->http_status != 0) {
        snprintf(code, sizeof(code), "%" PRId32, event->http_status);
    }
    fprintf(out, "%-9s %4s %9s %8s %8s %8s %8s %8s  ", check_status_name(event->status), code,
            in_ms(t->total_us, total), in_ms(t->dns_us, dns), in_ms(t->connect_us, connect),
            in_ms(t->tls_us, tls), in_ms(t->wait_us, wait), in_ms(t->transfer_us, transfer));
    print_plain(out, event->site_name, event->error == ERROR_NONE ? 0 : NAME_WIDTH);
    if (event->error != ERROR_NONE) {
        fprintf(out, " %s: ", error_type_name(event->error));
        print_plain(out, event->error_message == NULL ? "" : event->error_message, 0);
    }
    fputc('\n', out);
    return flushed(out, err);
}
