/*
 * kafka_words - what to do about what librdkafka and OpenSSL say of a connection to a broker, in
 * the words of our settings.
 */
#ifndef COMMON_KAFKA_WORDS_H
#define COMMON_KAFKA_WORDS_H

/* A line of librdkafka's; NULL when we know nothing better. */
const char *kafka_words_of_line(const char *text);

/* An X509_V_ERR_... of a broker's certificate. */
const char *kafka_words_of_certificate(int error);

#endif
