/* Sites as a document: all that is stored of them but secrets, checks and their numbers. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/transfer.h"
#include "api/website_transfer.h"

#define EXPORT_BYTES_MAX (2 * 1024 * 1024) /* of options: what an import takes is longer */
#define FORMAT_SCHEMA "{\"type\":\"string\",\"enum\":[\"json\",\"libconfig\"]}"

const struct route_parameter website_export_query[] = {
    {"format", FORMAT_SCHEMA, "libconfig: a targets file of the producer; by itself as Accept asks",
     false},
    {"after", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000000000000,\"default\":0}",
     "only sites with a higher id, as the Link to the next part has it", false},
    {"size", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":10000}",
     "sites at the most; the answer has fewer where they are long", false},
    {0},
};

static bool read_format(const struct request *r, bool *libconfig, struct answer *a)
{
    const char *format = request_query(r, "format");
    const char *accept = request_header(r, "Accept");

    if (format == NULL) {
        *libconfig = accept != NULL && strncmp(accept, "text/plain", 10) == 0;
        return true;
    }
    *libconfig = strcmp(format, "libconfig") == 0;
    if (!*libconfig && strcmp(format, "json") != 0) {
        answer_problem_at(a, 400, "parameter", "format", "format: want json or libconfig");
        return false;
    }
    return true;
}

static void print_targets(FILE *out, const PGresult *rows)
{
    fprintf(out, "targets = (\n");
    for (int i = 0; i < PQntuples(rows); i++) {
        cJSON *options = cJSON_Parse(PQgetvalue(rows, i, 0));

        fputs(i == 0 ? "" : ",\n", out);
        transfer_print_group(out, options);
        cJSON_Delete(options);
    }
    fprintf(out, "\n);\n");
}

static void answer_rows(const PGresult *rows, bool libconfig, int64_t size, struct answer *a)
{
    int last = PQntuples(rows) - 1;
    struct answer_text t;

    answer_text_begin(&t);
    if (libconfig) {
        print_targets(t.out, rows);
    } else {
        fprintf(t.out, "{");
        db_print_items(t.out, rows, 0, INT64_MAX);
        fprintf(t.out, "}");
    }
    answer_text_end(&t);
    answer_body(a, 200, libconfig ? "text/plain; charset=utf-8" : ANSWER_JSON, t.text, t.len);
    if (last >= 0 && pg_int(rows, last, 2) > last + 1) {
        answer_headerf(a, "Link",
                       "</websites/export?format=%s&after=%s&size=%" PRId64 ">; rel=\"next\"",
                       libconfig ? "libconfig" : "json", PQgetvalue(rows, last, 1), size);
    }
}

void website_export(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    /* A site that is known from its checks alone is not ours to hand out. */
    static const char sql[] =
        "SELECT json::text, website_id, there FROM ("
        " SELECT website_id, w.config - 'sealed' || jsonb_build_object('url', website_url,"
        "   'name', name, 'seconds', monitoring_interval, 'enabled', enabled,"
        "   'allow_private', coalesce(w.config -> 'allow_private', 'true')) AS json,"
        "   sum(octet_length(w.config::text)) OVER (ORDER BY website_id) AS bytes,"
        "   row_number() OVER (ORDER BY website_id) AS number, count(*) OVER () AS there"
        " FROM websites w WHERE deleted_at IS NULL AND source <> 'event' AND website_id > $1"
        " ORDER BY website_id LIMIT $2::bigint + 1) w"
        " WHERE number <= $2 AND (bytes <= $3 OR number = 1) ORDER BY website_id";
    struct pg_params p = {0};
    struct err err;
    bool libconfig;
    int64_t after, size;

    (void)api;
    if (!read_format(r, &libconfig, a) ||
        !request_int(r, "after", 0, REQUEST_ID_MAX, 0, &after, a) ||
        !request_int(r, "size", 1, TRANSFER_SITES_MAX, TRANSFER_SITES_MAX, &size, a)) {
        return;
    }
    pg_add_int(&p, after);
    pg_add_int(&p, size);
    pg_add_int(&p, EXPORT_BYTES_MAX);

    PGresult *rows = pg_query(conn, "export websites", sql, &p, NULL, &err);

    if (rows == NULL) {
        db_fail(&err, a);
        return;
    }
    answer_rows(rows, libconfig, size, a);
    PQclear(rows);
}
