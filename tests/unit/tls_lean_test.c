#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdbool.h>

#include "producer/tls_lean.h"

static void it_lists_what_handshakes_need(void **state)
{
    static const struct {
        const char *name;
        bool listed;
    } kinds[] = {
        {"RSA", true},     {"EC", true},   {"ED25519", true}, {"X25519", true},
        {"DSA", false},    {"SM2", false}, {"X448", false},   {"SCRYPT", false},
        {"RSA-PSS", true}, {"HMAC", true}, {"DH", true},
    };
    struct tls_lean lean;

    (void)state;
    tls_lean_open(&lean);
    assert_non_null(lean.context);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        EVP_KEYMGMT *found = EVP_KEYMGMT_fetch(lean.context, kinds[i].name, NULL);

        print_message("  %s\n", kinds[i].name);
        assert_int_equal(found != NULL, kinds[i].listed);
        EVP_KEYMGMT_free(found);
    }
    tls_lean_close(&lean);
}

static void two_do_not_know_each_other(void **state)
{
    struct tls_lean first, second;
    EVP_MD *hash;

    (void)state;
    tls_lean_open(&first);
    tls_lean_open(&second);
    assert_ptr_not_equal(first.context, second.context);
    tls_lean_close(&first);
    hash = EVP_MD_fetch(second.context, "SHA256", NULL);
    assert_non_null(hash);
    EVP_MD_free(hash);
    tls_lean_close(&second);
}

/* FIPS, hardware: OpenSSL's "null" stands for them, which every build has. */
static void what_the_operator_chose_is_used(void **state)
{
    OSSL_PROVIDER *ordinary = OSSL_PROVIDER_load(NULL, "default");
    OSSL_PROVIDER *other = OSSL_PROVIDER_load(NULL, "null");
    struct tls_lean lean;

    (void)state;
    tls_lean_open(&lean);
    assert_null(lean.context);
    assert_null(lean.provider);
    tls_lean_close(&lean);
    OSSL_PROVIDER_unload(other);
    tls_lean_open(&lean);
    assert_non_null(lean.context);
    tls_lean_close(&lean);
    OSSL_PROVIDER_unload(ordinary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lists_what_handshakes_need),
        cmocka_unit_test(two_do_not_know_each_other),
        cmocka_unit_test(what_the_operator_chose_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
