/*
 * monitoring - reading what was found: the checks of a site, what they come to over time, and the
 * incidents.
 */
#ifndef API_MONITORING_H
#define API_MONITORING_H

#include "api/route.h"

extern const struct route_parameter monitoring_checks_query[];
extern const struct route_parameter monitoring_site_checks_query[];
extern const struct route_parameter monitoring_series_query[];
extern const struct route_parameter monitoring_incidents_query[];

route_handle monitoring_checks;      /* /monitoring?url=: newest first */
route_handle monitoring_site_checks; /* /websites/{id}/checks: newest first */
route_handle monitoring_series;      /* /websites/{id}/metrics: what a graph shows */
route_handle monitoring_phases;      /* /websites/{id}/phases: of what their times consist */
route_handle monitoring_incidents;   /* /incidents: newest first */

#endif
