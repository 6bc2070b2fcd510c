#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "producer/tls_internal.h"

#define NAMES_SHOWN_MAX 4 /* of a certificate, in a message */

static void name_text(X509_NAME *name, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = 0;

    /* RFC 2253 escapes whatever could break a line. */
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_read(bio, out, (int)size - 1);
    }
    out[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

static void time_text(const ASN1_TIME *time, char *out, size_t size)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        snprintf(out, size, "an unreadable time");
    }
}

/* One name of the certificate; false for kinds that no URL has (mail addresses and so on). */
static bool alternative_text(const GENERAL_NAME *name, char *out, size_t size)
{
    const unsigned char *bytes;
    int len;

    if (name->type == GEN_DNS) {
        bytes = ASN1_STRING_get0_data(name->d.dNSName);
        len = ASN1_STRING_length(name->d.dNSName);
        snprintf(out, size, "%.*s", len, (const char *)bytes);
        return true;
    }
    if (name->type == GEN_IPADD) {
        bytes = ASN1_STRING_get0_data(name->d.iPAddress);
        len = ASN1_STRING_length(name->d.iPAddress);
        return (len == 4 && inet_ntop(AF_INET, bytes, out, (socklen_t)size) != NULL) ||
               (len == 16 && inet_ntop(AF_INET6, bytes, out, (socklen_t)size) != NULL);
    }
    return false;
}

/* "a.example, b.example, ...", or the subject of a certificate without alternative names. */
static void names_text(X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    int shown = 0;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used < size; i++) {
        char one[128];

        if (!alternative_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one))) {
            continue;
        }
        if (shown == NAMES_SHOWN_MAX) {
            snprintf(out + used, size - used, ", ...");
            break;
        }
        int len = snprintf(out + used, size - used, "%s%s", shown == 0 ? "" : ", ", one);

        used += (size_t)len;
        shown++;
    }
    GENERAL_NAMES_free(names);
    if (shown == 0) {
        name_text(X509_get_subject_name(cert), out, size);
    }
}

int64_t tls_time_s(const ASN1_TIME *time)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return EVENT_ABSENT;
    }
    int64_t seconds = timegm(&parts);

    return seconds < 0 ? EVENT_ABSENT : seconds;
}

static enum error_type error_type_of(int code)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return ERROR_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return ERROR_TLS_HOSTNAME;
    default:
        return ERROR_TLS_UNTRUSTED;
    }
}

/* A message too long is cut. */
static void PRINTF_LIKE(2, 3) message_set(struct tls_check *check, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(check->message, sizeof(check->message), fmt, args);
    va_end(args);
}

/* `cert` is the one of the chain that was found wrong. */
static void error_describe(struct tls_check *check, int code, X509 *cert)
{
    const char *words = X509_verify_cert_error_string(code);
    char subject[160], issuer[160], time[32];

    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        time_text(X509_get0_notAfter(cert), time, sizeof(time));
        message_set(check, "%s: %s ended %s", words, subject, time);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        time_text(X509_get0_notBefore(cert), time, sizeof(time));
        message_set(check, "%s: %s begins %s", words, subject, time);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        names_text(cert, subject, sizeof(subject));
        message_set(check, "%s: the certificate is for %s", words, subject);
        return;
    default:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        name_text(X509_get_issuer_name(cert), issuer, sizeof(issuer));
        message_set(check, "%s: %s, issued by %s", words, subject, issuer);
    }
}

void tls_error_note(struct tls_check *check, int code, X509 *cert)
{
    check->error = error_type_of(code);
    if (cert != NULL) {
        error_describe(check, code, cert);
    } else {
        message_set(check, "%s", X509_verify_cert_error_string(code));
    }
}

void tls_refuse(struct tls_check *check, const char *reason)
{
    check->error = ERROR_INTERNAL;
    message_set(check, "OpenSSL refuses our settings: %s", reason == NULL ? "no reason" : reason);
}
