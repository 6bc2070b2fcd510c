#include "common/ident.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SHA1_BYTES 20
#define UUID_BYTES 16
#define NUMBERS_SIZE 48 /* two numbers and two bars */

/* RFC 9562, 6.6: the namespace of names that are URLs. */
static const unsigned char url_namespace[UUID_BYTES] = {
    0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
};

/* Fetched once: OpenSSL 3 looks an algorithm up by its name anew at each use otherwise, which
 * costs more than the digest. It is kept until the process ends. */
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha1;

/* Like memory (common/mem.h): without it there is no id, and nothing to do but to stop. */
static void or_stop(bool done)
{
    if (!done) {
        fputs("error SHA-1 is not available from OpenSSL\n", stderr);
        abort();
    }
}

static void fetch_sha1(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    or_stop(sha1 != NULL);
}

struct part {
    const void *bytes;
    size_t len;
};

/* SHA-1 of all of them in a row. */
static void digest(const struct part *parts, size_t count, unsigned char out[SHA1_BYTES])
{
    pthread_once(&sha1_once, fetch_sha1);

    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex2(context, sha1, NULL) == 1;

    for (size_t i = 0; i < count; i++) {
        done = done && EVP_DigestUpdate(context, parts[i].bytes, parts[i].len) == 1;
    }
    or_stop(done && EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

int64_t ident_phase_ms(const char *name, int64_t interval_ms)
{
    unsigned char sum[SHA1_BYTES];
    uint64_t number = 0;

    digest(&(struct part){name, strlen(name)}, 1, sum);
    for (size_t i = 0; i < sizeof(number); i++) {
        number = number << 8 | sum[i];
    }
    return (int64_t)(number % (uint64_t)interval_ms);
}

static void format_uuid(const unsigned char bytes[UUID_BYTES], char out[IDENT_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 0x0F];
    }
    *at = '\0';
}

/* A bar and the number, which end before `at`; returns where they begin. */
static char *put_number(char *at, int64_t number)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *--at = '-';
    }
    *--at = '|';
    return at;
}

void ident_check_id(const char *name, const char *location, int64_t slot_ms, int attempt,
                    char out[IDENT_UUID_SIZE])
{
    unsigned char sum[SHA1_BYTES];
    char numbers[NUMBERS_SIZE];
    char *at = numbers + sizeof(numbers);

    at = put_number(at, attempt);
    at = put_number(at, slot_ms);

    const struct part parts[] = {
        {url_namespace, sizeof(url_namespace)},
        {name, strlen(name)},
        {"|", 1},
        {location, strlen(location)},
        {at, (size_t)(numbers + sizeof(numbers) - at)},
    };

    digest(parts, sizeof(parts) / sizeof(parts[0]), sum);
    sum[6] = (unsigned char)((sum[6] & 0x0F) | 0x50); /* version 5 */
    sum[8] = (unsigned char)((sum[8] & 0x3F) | 0x80); /* variant 10 */
    format_uuid(sum, out);
}
