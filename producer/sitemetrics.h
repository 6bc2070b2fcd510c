/*
 * sitemetrics - what the last check of each site found, as series of /metrics.
 *
 * The families have the names, labels and units of Prometheus' blackbox_exporter, so that what was
 * made for it works: probe_success, probe_duration_seconds, probe_http_duration_seconds{phase},
 * probe_http_status_code, probe_ssl_earliest_cert_expiry; each with site and location. A site has
 * series while it is checked and was judged: one that is not checked any more, or whose last check
 * ended `unknown`, has none.
 *
 * It reads producer/latest in the thread of the admin endpoint, some kilobytes at a time.
 */
#ifndef PRODUCER_SITEMETRICS_H
#define PRODUCER_SITEMETRICS_H

#include "common/metrics.h"
#include "producer/latest.h"

struct sitemetrics;

/* Adds its collector to m. Borrows latest; both outlive m's last reading. */
struct sitemetrics *sitemetrics_new(struct latest *latest, const char *location, struct metrics *m);
void sitemetrics_free(struct sitemetrics *s);

#endif
