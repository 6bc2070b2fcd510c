#include "api/website_faults.h"

#include <stddef.h>

#define POINTER_SIZE 256

/* "/name" of a member, with ~ and / written as RFC 6901 has it; "" for none. */
static void pointer_of(const char *name, char out[POINTER_SIZE])
{
    size_t used = 0;

    if (name[0] != '\0') {
        out[used++] = '/';
    }
    for (; *name != '\0' && used + 3 < POINTER_SIZE; name++) {
        if (*name == '~' || *name == '/') {
            out[used++] = '~';
            out[used++] = *name == '~' ? '0' : '1';
        } else {
            out[used++] = *name;
        }
    }
    out[used] = '\0';
}

void website_faults_add(struct website_faults *f, int status, const char *option,
                        const char *detail)
{
    char pointer[POINTER_SIZE];

    if (f->list == NULL) {
        f->list = cJSON_CreateArray();
    }
    if (f->status == 0 || status < f->status) {
        f->status = status;
    }
    if (cJSON_GetArraySize(f->list) == WEBSITE_FAULTS_MAX) {
        return;
    }
    cJSON *fault = cJSON_CreateObject();

    pointer_of(option, pointer);
    cJSON_AddStringToObject(fault, "pointer", pointer);
    answer_add_detail(fault, detail);
    cJSON_AddItemToArray(f->list, fault);
}

void website_faults_answer(struct website_faults *f, struct answer *a)
{
    answer_problems(a, f->status, f->list);
    *f = (struct website_faults){0};
}

void website_faults_free(struct website_faults *f)
{
    cJSON_Delete(f->list);
    *f = (struct website_faults){0};
}
