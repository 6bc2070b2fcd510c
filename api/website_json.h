/*
 * website_json - a site as the API shows it, in SQL: what websites.c and websites_list.c select.
 */
#ifndef API_WEBSITE_JSON_H
#define API_WEBSITE_JSON_H

/* `status` is an option: the response codes that are up. What the site is now is its `state`.
 *
 * Nobody sees a secret, only that there is one. What a token of scope read does not see besides may
 * hold one: header values, a body, a user name. Needs $1: whether all is shown;
 * w, a row of websites; s, with its status and last_slot. */
#define WEBSITE_JSON                                                                               \
    "jsonb_strip_nulls("                                                                           \
    "w.config - CASE WHEN $1::boolean THEN ARRAY['sealed']"                                        \
    " ELSE ARRAY['sealed', 'headers', 'body', 'username'] END"                                     \
    " || jsonb_build_object('secrets', (SELECT jsonb_agg(option ORDER BY option)"                  \
    "     FROM jsonb_object_keys(w.config -> 'sealed') option),"                                   \
    " 'allow_private', coalesce(w.config -> 'allow_private', 'true'),"                             \
    " 'id', w.website_id, 'name', w.name, 'url', w.website_url,"                                   \
    " 'seconds', w.monitoring_interval, 'enabled', w.enabled, 'version', w.version,"               \
    " 'source', w.source, 'created_at', w.created_at, 'updated_at', w.updated_at,"                 \
    " 'state', coalesce(s.status, 'unknown'), 'last_slot', s.last_slot))"

#endif
