#include "common/kafka_words.h"

#include <openssl/x509_vfy.h>
#include <stddef.h>
#include <string.h>

#define CLIENT_CERT "kafka-certfile (KAFKA_CERTFILE)"
#define CLIENT_KEY "kafka-keyfile (KAFKA_KEYFILE)"
#define CA "kafka-cafile (KAFKA_CAFILE)"
#define NO_TLS "the port speaks no TLS: name the TLS port in " SERVERS ", or do not set " CA
#define SERVERS "kafka-bootstrap-servers (KAFKA_BOOTSTRAP_SERVERS)"

const char *kafka_words_of_line(const char *text)
{
    static const struct {
        const char *part, *fix;
        const char *also; /* another part; NULL: none */
    } rows[] = {
        {"alert certificate expired",
         "the certificate in " CLIENT_CERT
         " has expired: put a renewed one there, it is taken up without a restart",
         NULL},
        {"alert certificate required",
         "the broker wants a client certificate: set " CLIENT_CERT " and " CLIENT_KEY, NULL},
        {"unexpected message",
         "the broker wants a client certificate: set " CLIENT_CERT " and " CLIENT_KEY, NULL},
        {"alert bad certificate",
         "the broker wants a client certificate, or another one: set " CLIENT_CERT
         " and " CLIENT_KEY,
         NULL},
        {"alert unknown ca",
         "the broker does not know the CA that signed " CLIENT_CERT
         ": use one that it was set up with",
         NULL},
        {"alert certificate unknown",
         "the broker refuses the certificate in " CLIENT_CERT
         ": use one that has not expired, of a CA that it was set up with",
         NULL},
        {"connecting to a PLAINTEXT broker listener", NO_TLS, NULL},
        {"unexpected eof while reading", NO_TLS, "SSL_HANDSHAKE"}, /* OpenSSL 3 */
        {"connecting to a SSL listener",
         "the port speaks TLS: set " CA ", or name the port without TLS in " SERVERS, NULL},
        {"SASL authentication error",
         "sasl.username and sasl.password in kafka-properties (KAFKA_PROPERTIES)", NULL},
        {"Failed to resolve", "the host's name is not known: " SERVERS, NULL},
        {"Connection refused", "nothing listens there: " SERVERS, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strstr(text, rows[i].part) != NULL &&
            (rows[i].also == NULL || strstr(text, rows[i].also) != NULL)) {
            return rows[i].fix;
        }
    }
    return NULL;
}

const char *kafka_words_of_certificate(int error)
{
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "the certificate is of another host: name the broker as its certificate does, "
               "in " SERVERS " and in the broker's advertised.listeners";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "renew the certificate on the broker, or the CA in " CA;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "set this machine's clock";
    default:
        return "put the CA that signed the broker's certificate into " CA;
    }
}
