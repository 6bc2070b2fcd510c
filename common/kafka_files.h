/*
 * kafka_files - the CA, the certificate and the key with which we speak TLS to Kafka: whether they
 * can be used, when the certificate ends, and whether they were renewed.
 *
 * librdkafka reads them once, when a client is made. Who has clients calls kafka_files_look in its
 * loop, and makes them anew when it says so. What is compared is what is in the files, not their
 * times. One thread uses a struct kafka_files.
 */
#ifndef COMMON_KAFKA_FILES_H
#define COMMON_KAFKA_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/kafka.h"
#include "common/metrics.h"

#define KAFKA_FILES_LOOK_NS (5 * NS_PER_SEC)
#define KAFKA_FILES_TELL_NS (3600 * NS_PER_SEC) /* that the certificate ends, so often */
#define KAFKA_FILES_SOON_S (INT64_C(14) * 86400)
#define KAFKA_FILES_DIGEST_BYTES 32

struct kafka_files {
    const struct kafka_settings *settings;
    unsigned char used[KAFKA_FILES_DIGEST_BYTES];    /* what the clients have read */
    unsigned char refused[KAFKA_FILES_DIGEST_BYTES]; /* what was told to be of no use */
    int64_t look_ns, tell_ns;                        /* when it is done next */
    int64_t ends_s;                                  /* of the certificate; 0: there is none */
    struct metric *ends;
};

/*
 * Whether a client can be made of them: each is there and is PEM, the key is the certificate's, and
 * a certificate is not given without TLS. ERR_INVALID names the setting, its variable and the file.
 * A key with a password, and a CA that is a directory, are left to librdkafka.
 */
int kafka_files_check(const struct kafka_settings *settings, struct err *err) MUST_CHECK;

/* Before the first client is made. Keeps settings; they were checked. */
void kafka_files_init(struct kafka_files *files, const struct kafka_settings *settings,
                      struct metrics *m);

/*
 * Looks every KAFKA_FILES_LOOK_NS. True: the files were renewed and can be used; make the clients
 * anew. Renewed files that cannot be used yet, such as a certificate whose key is still that of the
 * one before, are told of once and those of before stay in use. Also says that the certificate ends
 * soon, or has ended.
 */
bool kafka_files_look(struct kafka_files *files, int64_t now_ns, int64_t real_ns);

#endif
