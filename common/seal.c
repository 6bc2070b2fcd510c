#include "common/seal.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SPACES " \t\n"
#define VERSION_TEXT "1."
#define ID_BYTES 4
#define ID_CHARS (2 * ID_BYTES)
#define MASTER_BYTES crypto_kdf_KEYBYTES
#define CIPHER_KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* What is derived from one key. */
struct key {
    char id[ID_CHARS + 1];
    unsigned char cipher[CIPHER_KEY_BYTES];
    unsigned char nonce[crypto_generichash_KEYBYTES];
};

struct seal {
    size_t count;
    struct key keys[SEAL_KEYS_MAX];
};

/* --- Keys --- */

static void derive(struct key *key, const unsigned char master[MASTER_BYTES])
{
    static const char context[crypto_kdf_CONTEXTBYTES] = {'s', 'i', 't', 'e', 's', 'e', 'a', 'l'};
    unsigned char id[crypto_kdf_BYTES_MIN];

    crypto_kdf_derive_from_key(key->cipher, sizeof(key->cipher), 1, context, master);
    crypto_kdf_derive_from_key(key->nonce, sizeof(key->nonce), 2, context, master);
    crypto_kdf_derive_from_key(id, sizeof(id), 3, context, master);
    sodium_bin2hex(key->id, sizeof(key->id), id, ID_BYTES);
}

/* As `openssl rand -base64 32` writes it, or in the alphabet for URLs. */
static bool read_key(const char *text, size_t len, unsigned char master[MASTER_BYTES])
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL,
                                   sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                   sodium_base64_VARIANT_URLSAFE, BASE64};
    size_t got = 0;

    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        if (sodium_base642bin(master, MASTER_BYTES, text, len, NULL, &got, NULL, variants[i]) ==
                0 &&
            got == MASTER_BYTES) {
            return true;
        }
    }
    return false;
}

struct seal *seal_new(const char *keys, struct err *err)
{
    struct seal *seal = mem_alloc(1, sizeof(*seal));
    unsigned char master[MASTER_BYTES];
    const char *at = keys;
    bool fits = true, more = true;

    if (sodium_init() < 0) {
        err_set(err, ERR_FATAL, "libsodium: no random numbers");
        free(seal);
        return NULL;
    }
    while (fits && more) {
        at += strspn(at, SPACES);
        size_t len = strcspn(at, "," SPACES);

        fits = seal->count < SEAL_KEYS_MAX && read_key(at, len, master);
        if (fits) {
            derive(&seal->keys[seal->count++], master);
        }
        at += len;
        at += strspn(at, SPACES);
        more = *at == ',';
        fits = fits && (more || *at == '\0');
        at += more;
    }
    if (!fits) {
        err_set(err, ERR_INVALID,
                "want up to %d keys of 32 bytes in base64 (openssl rand -base64 32), with commas "
                "between",
                SEAL_KEYS_MAX);
        seal_free(seal);
        seal = NULL;
    }
    sodium_memzero(master, sizeof(master));
    return seal;
}

void seal_free(struct seal *seal)
{
    if (seal != NULL) {
        sodium_memzero(seal, sizeof(*seal));
        free(seal);
    }
}

/* --- Sealing --- */

static void nonce_of(const struct key *key, const char *place, const char *text,
                     unsigned char nonce[NONCE_BYTES])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, key->nonce, sizeof(key->nonce), NONCE_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)place, strlen(place) + 1);
    crypto_generichash_update(&state, (const unsigned char *)text, strlen(text));
    crypto_generichash_final(&state, nonce, NONCE_BYTES);
}

char *seal_close(const struct seal *seal, const char *place, const char *text)
{
    const struct key *key = &seal->keys[0];
    size_t prefix = sizeof(VERSION_TEXT) - 1 + ID_CHARS + 1;
    size_t len = NONCE_BYTES + strlen(text) + TAG_BYTES;
    size_t chars = sodium_base64_encoded_len(len, BASE64); /* with the NUL */
    unsigned char *bytes = mem_alloc(len, 1);
    char *sealed = mem_alloc(prefix + chars, 1);

    nonce_of(key, place, text, bytes);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        bytes + NONCE_BYTES, NULL, (const unsigned char *)text, strlen(text),
        (const unsigned char *)place, strlen(place), NULL, bytes, key->cipher);
    snprintf(sealed, prefix + 1, VERSION_TEXT "%s.", key->id);
    sodium_bin2base64(sealed + prefix, chars, bytes, len, BASE64);
    free(bytes);
    return sealed;
}

/* --- Opening --- */

static const struct key *find_key(const struct seal *seal, const char *id)
{
    for (size_t i = 0; i < seal->count; i++) {
        if (strncmp(seal->keys[i].id, id, ID_CHARS) == 0) {
            return &seal->keys[i];
        }
    }
    return NULL;
}

/* The text, or NULL: it was made with another key, for another place, or changed. */
static char *open_bytes(const struct key *key, const char *place, const char *base64)
{
    size_t size = strlen(base64) + 1;
    unsigned char *bytes = mem_alloc(size, 1);
    char *text = NULL;
    size_t len = 0;

    if (sodium_base642bin(bytes, size, base64, size - 1, NULL, &len, NULL, BASE64) == 0 &&
        len >= NONCE_BYTES + TAG_BYTES) {
        text = mem_alloc(len, 1); /* longer than the text by more than its NUL */
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(
                (unsigned char *)text, NULL, NULL, bytes + NONCE_BYTES, len - NONCE_BYTES,
                (const unsigned char *)place, strlen(place), bytes, key->cipher) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(bytes);
    return text;
}

char *seal_open(const struct seal *seal, const char *place, const char *sealed, struct err *err)
{
    const char *id = sealed + sizeof(VERSION_TEXT) - 1;

    if (strncmp(sealed, VERSION_TEXT, sizeof(VERSION_TEXT) - 1) != 0 ||
        strcspn(id, ".") != ID_CHARS || id[ID_CHARS] != '.') {
        err_set(err, ERR_INVALID, "is not sealed in a form that is known");
        return NULL;
    }
    const struct key *key = find_key(seal, id);

    if (key == NULL) {
        err_set(err, ERR_INVALID, "is sealed with key %.*s, which is not set", ID_CHARS, id);
        return NULL;
    }
    char *text = open_bytes(key, place, id + ID_CHARS + 1);

    if (text == NULL) {
        err_set(err, ERR_INVALID, "does not open: it was sealed for another place, or changed");
    }
    return text;
}
