#include "producer/tls_lean.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define PROVIDER "sitewatch-lean"
#define LISTED_MAX 32 /* more than there are */

/* Kinds of keys in certificates, key exchanges, and the MAC of TLS 1.2's older ciphers. */
static const char *const key_types[] = {
    "RSA",       "RSA-PSS",   "EC",        "X25519",
    "ED25519",   "ED448",     "HMAC",      "DH", /* of TLS 1.2's DHE ciphers */
    "ML-DSA-44", "ML-DSA-65", "ML-DSA-87",       /* OpenSSL 3.5 */
};

static const char *const groups[] = {"x25519", "secp256r1", "secp384r1", "secp521r1"};

/* OpenSSL's provider in a context of its own, and the shorter lists. Made once and kept for the
 * life of the process: what was fetched from a list points into it. */
static struct {
    OSSL_PROVIDER *whole; /* NULL: it could not be loaded */
    OSSL_ALGORITHM keys[LISTED_MAX + 1], decoders[LISTED_MAX + 1];
} model;

/* "EC:id-ecPublicKey:1.2.840.10045.2.1" is an EC. */
static bool is_one_of(const char *names, const char *const *list, size_t count)
{
    size_t len = strcspn(names, ":");

    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == len && strncasecmp(names, list[i], len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_key_type(const OSSL_ALGORITHM *algorithm)
{
    return is_one_of(algorithm->algorithm_names, key_types,
                     sizeof(key_types) / sizeof(key_types[0]));
}

static bool is_decoder(const OSSL_ALGORITHM *algorithm)
{
    return is_key_type(algorithm) && strstr(algorithm->property_definition, "input=der") != NULL &&
           strstr(algorithm->property_definition, "structure=SubjectPublicKeyInfo") != NULL;
}

static void pick(OSSL_ALGORITHM *out, int operation, bool (*wanted)(const OSSL_ALGORITHM *))
{
    int unused;
    size_t count = 0;
    const OSSL_ALGORITHM *from = OSSL_PROVIDER_query_operation(model.whole, operation, &unused);

    for (; from != NULL && from->algorithm_names != NULL; from++) {
        if (wanted(from) && count < LISTED_MAX) {
            out[count++] = *from;
        }
    }
}

/* --- The provider --- */

static const OSSL_ALGORITHM *on_query(void *unused, int operation, int *no_cache)
{
    (void)unused;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return model.keys;
    case OSSL_OP_DECODER:
        return model.decoders;
    case OSSL_OP_ENCODER:
    case OSSL_OP_STORE:
        return NULL;
    default:
        return OSSL_PROVIDER_query_operation(model.whole, operation, no_cache);
    }
}

struct forward {
    OSSL_CALLBACK *callback;
    void *arg;
};

static int on_capability(const OSSL_PARAM params[], void *arg)
{
    const struct forward *forward = arg;
    const OSSL_PARAM *group = OSSL_PARAM_locate_const(params, OSSL_CAPABILITY_TLS_GROUP_NAME);

    if (group != NULL && !is_one_of(group->data, groups, sizeof(groups) / sizeof(groups[0]))) {
        return 1; /* the next one */
    }
    return forward->callback(params, forward->arg);
}

static int on_get_capabilities(void *unused, const char *capability, OSSL_CALLBACK *callback,
                               void *arg)
{
    struct forward forward = {callback, arg};

    (void)unused;
    return OSSL_PROVIDER_get_capabilities(model.whole, capability, on_capability, &forward);
}

static void on_teardown(void *unused)
{
    (void)unused; /* the model stays */
}

static int on_init(const OSSL_CORE_HANDLE *unused, const OSSL_DISPATCH *unused_too,
                   const OSSL_DISPATCH **ours, void **context)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))on_query},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))on_get_capabilities},
        {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))on_teardown},
        {0, NULL},
    };

    (void)unused;
    (void)unused_too;
    *ours = functions;
    /* What is listed is the model's, and is called with what the model knows. */
    *context = OSSL_PROVIDER_get0_provider_ctx(model.whole);
    return 1;
}

/* --- The context --- */

static void make_model(void)
{
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();

    model.whole = context == NULL ? NULL : OSSL_PROVIDER_load(context, "default");
    if (model.whole == NULL) {
        OSSL_LIB_CTX_free(context);
        return;
    }
    /* OpenSSL 3.5's random numbers look in their provider's own context for ciphers of the
     * provider that a caller's context names. */
    if (OSSL_PROVIDER_add_builtin(context, PROVIDER, on_init) != 1 ||
        OSSL_PROVIDER_load(context, PROVIDER) == NULL) {
        ERR_clear_error();
    }
    pick(model.keys, OSSL_OP_KEYMGMT, is_key_type);
    pick(model.decoders, OSSL_OP_DECODER, is_decoder);
}

static int on_provider(OSSL_PROVIDER *provider, void *others)
{
    *(bool *)others |= strcmp(OSSL_PROVIDER_get0_name(provider), "default") != 0;
    return 1;
}

static bool operator_chose_providers(void)
{
    bool others = false;

    return OSSL_PROVIDER_do_all(NULL, on_provider, &others) != 1 || others ||
           EVP_default_properties_is_fips_enabled(NULL) == 1;
}

void tls_lean_open(struct tls_lean *lean)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned char tried;

    *lean = (struct tls_lean){0};
    pthread_once(&once, make_model);
    if (model.whole == NULL || operator_chose_providers()) {
        return;
    }
    lean->context = OSSL_LIB_CTX_new();
    if (lean->context != NULL && OSSL_PROVIDER_add_builtin(lean->context, PROVIDER, on_init) == 1) {
        lean->provider = OSSL_PROVIDER_load(lean->context, PROVIDER);
    }
    /* Nothing is done without random numbers, and what they are made from differs most. */
    if (lean->provider == NULL || RAND_bytes_ex(lean->context, &tried, 1, 0) != 1) {
        ERR_clear_error();
        tls_lean_close(lean);
    }
}

void tls_lean_close(struct tls_lean *lean)
{
    if (lean->provider != NULL) {
        OSSL_PROVIDER_unload(lean->provider);
    }
    OSSL_LIB_CTX_free(lean->context);
    *lean = (struct tls_lean){0};
}
