/*
 * website_faults - what is wrong about a site of a request, option by option, as it is found.
 */
#ifndef API_WEBSITE_FAULTS_H
#define API_WEBSITE_FAULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "api/answer.h"

#define WEBSITE_FAULTS_MAX 20 /* told of at once */

struct website_faults {
    int status;  /* 0: there are none; else the lowest of theirs */
    cJSON *list; /* of {"pointer": "/pattern", "detail": "..."}; NULL: there are none */
};

/* `option` "": the site as a whole. Beyond WEBSITE_FAULTS_MAX they are dropped. */
void website_faults_add(struct website_faults *f, int status, const char *option,
                        const char *detail);

/* The answer that tells of them; *f is then empty. */
void website_faults_answer(struct website_faults *f, struct answer *a);
void website_faults_free(struct website_faults *f);

#endif
