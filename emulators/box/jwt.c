/* SPDX-License-Identifier: MIT */
/* The JWT assertions of server applications: RFC 7519 as far as Box uses it. */
#include "emulators/box/oauth.h"

#include "support/text.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define ASSERTION_MAX  8192
#define LIFE_MAX       60
#define SKEW_TOLERANCE 5

/* Bytes of base64 with - and _ and without padding; to be freed. NULL when it is no such thing. */
static unsigned char *jwt_decode(const char *text, size_t length, size_t *size)
{
	size_t padded = (length + 3) / 4 * 4;
	unsigned char *bytes = NULL;
	char *plain = NULL;
	int got;

	if (!length || length > ASSERTION_MAX || length % 4 == 1)
		return NULL;
	plain = malloc(padded + 1);
	bytes = malloc(padded + 1);
	if (!plain || !bytes)
		goto fail;
	for (size_t i = 0; i < padded; i++)
		plain[i] = (char)(i >= length ? '=' : text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	plain[padded] = '\0';
	got = EVP_DecodeBlock(bytes, (const unsigned char *)plain, (int)padded);
	if (got < 0)
		goto fail;
	*size = (size_t)got - (padded - length);
	bytes[*size] = '\0';
	free(plain);
	return bytes;

fail:
	free(plain);
	free(bytes);
	return NULL;
}

static json_t *jwt_object(const char *text, size_t length)
{
	size_t size;
	unsigned char *bytes = jwt_decode(text, length, &size);
	json_t *object = bytes ? json_loadb((const char *)bytes, size, 0, NULL) : NULL;

	free(bytes);
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

static bool jwt_verify(const char *pem, const char *text, size_t length, const unsigned char *signature, size_t size)
{
	BIO *memory = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = memory ? PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL) : NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = key && context && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
		    EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(context, signature, size, (const unsigned char *)text, length) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	BIO_free(memory);
	return good;
}

static bool jwt_claims_text(const json_t *claims)
{
	static const char *const names[] = {"iss", "sub", "box_sub_type", "aud", "jti"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!json_is_string(json_object_get(claims, names[i])))
			return false;
	}
	return true;
}

/* What is wrong with the claims, or NULL. */
static const char *jwt_claims_problem(const json_t *claims, int64_t now)
{
	const json_t *expires = json_object_get(claims, "exp"), *from = json_object_get(claims, "nbf");
	const char *audience, *jti;
	size_t length;

	if (!jwt_claims_text(claims) || !json_is_integer(expires))
		return "A claim is missing: iss, sub, box_sub_type, aud, jti or exp";
	audience = json_string_value(json_object_get(claims, "aud"));
	length = strlen(audience);
	if (length < 13 || strcmp(audience + length - 13, "/oauth2/token") != 0)
		return "aud is not the URL of the token call";
	jti = json_string_value(json_object_get(claims, "jti"));
	if (strlen(jti) < 16 || strlen(jti) > 128)
		return "jti must have 16 to 128 characters";
	if (json_integer_value(expires) + SKEW_TOLERANCE <= now)
		return "Current date/time MUST be before the expiration date/time listed in the 'exp' claim";
	if (json_integer_value(expires) > now + LIFE_MAX + SKEW_TOLERANCE)
		return "The expiration is more than 60 seconds in the future";
	if (json_is_integer(from) && json_integer_value(from) > now + SKEW_TOLERANCE)
		return "nbf is in the future";
	return NULL;
}

const char *jwt_check(const char *assertion, const json_t *keys, int64_t now, json_t **claims)
{
	const char *first = strchr(assertion, '.'), *second = first ? strchr(first + 1, '.') : NULL, *problem, *pem;
	unsigned char *signature = NULL;
	json_t *header = NULL;
	size_t size = 0;

	*claims = NULL;
	problem = "The assertion is malformed";
	if (!second || strlen(assertion) > ASSERTION_MAX)
		goto out;
	header = jwt_object(assertion, (size_t)(first - assertion));
	*claims = jwt_object(first + 1, (size_t)(second - first - 1));
	signature = jwt_decode(second + 1, strlen(second + 1), &size);
	if (!header || !*claims || !signature)
		goto out;
	problem = "alg must be RS256";
	if (strcmp(json_string_value(json_object_get(header, "alg")) ? json_string_value(json_object_get(header, "alg"))
								     : "",
		   "RS256") != 0)
		goto out;
	problem = "kid names no registered public key";
	pem = json_string_value(json_object_get(header, "kid"));
	pem = pem ? json_string_value(json_object_get(keys, pem)) : NULL;
	if (!pem)
		goto out;
	problem = "The signature does not verify";
	if (!jwt_verify(pem, assertion, (size_t)(second - assertion), signature, size))
		goto out;
	problem = jwt_claims_problem(*claims, now);

out:
	json_decref(header);
	free(signature);
	return problem;
}
