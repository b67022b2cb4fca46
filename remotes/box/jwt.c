/* SPDX-License-Identifier: MIT */
/* The assertion with which an app proves that it has its key: RFC 7523, signed RS256. */
#include "remotes/box/digest.h"
#include "remotes/box/oauth.h"
#include "support/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LIFETIME 45 /* seconds */

/* The pass phrase that is known; never asks a person. */
static int give_pass(char *buffer, int size, int writing, void *context)
{
	const char *pass = context;
	int length = pass ? (int)strlen(pass) : 0;

	(void)writing;
	if (length > size)
		return -1;
	memcpy(buffer, pass ? pass : "", (size_t)length);
	return length;
}

static EVP_PKEY *read_key(const struct box_settings *settings)
{
	BIO *bio = BIO_new_mem_buf(settings->key, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_pass, (void *)settings->key_pass) : NULL;

	BIO_free(bio);
	if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static char *encoded(const void *data, size_t size)
{
	char *out = malloc((size + 2) / 3 * 4 + 1);

	if (out)
		box_base64url(data, size, out);
	return out;
}

static char *encoded_json(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	char *out = text ? encoded(text, strlen(text)) : NULL;

	free(text);
	json_decref(json);
	return out;
}

static char *make_claims(const struct box_settings *settings, int64_t now)
{
	uint8_t random[24];
	char unique[40];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return NULL;
	box_base64url(random, sizeof(random), unique);
	return encoded_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "iss", settings->client_id, "sub",
				      settings->subject_id, "box_sub_type", settings->subject_type, "aud",
				      settings->token_url, "jti", unique, "iat", (json_int_t)now, "exp",
				      (json_int_t)now + LIFETIME));
}

static char *sign(EVP_PKEY *key, const char *text)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *signature = NULL;
	char *out = NULL;
	size_t size = 0;

	if (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(context, NULL, &size, (const unsigned char *)text, strlen(text)) == 1 &&
	    (signature = malloc(size)) &&
	    EVP_DigestSign(context, signature, &size, (const unsigned char *)text, strlen(text)) == 1)
		out = encoded(signature, size);
	free(signature);
	EVP_MD_CTX_free(context);
	return out;
}

int box_jwt_assertion(const struct box_settings *settings, int64_t now, char **out, char *message, size_t message_size)
{
	char *head = NULL, *claims = NULL, *text = NULL, *signature = NULL;
	EVP_PKEY *key;
	int result = -ENOMEM;

	*out = NULL;
	if (!settings->key || !settings->client_id || !settings->subject_id) {
		text_copy(message, message_size,
			  "auth=jwt needs config= with the key file of a Box app, and enterprise= or "
			  "user= where the file names no enterprise");
		return -EINVAL;
	}
	key = read_key(settings);
	if (!key) {
		text_copy(message, message_size,
			  "the key of the Box app cannot be read: it is no RSA key, or the pass "
			  "phrase does not fit");
		return -EINVAL;
	}
	head = encoded_json(
		settings->key_id ? json_pack("{s:s, s:s, s:s}", "alg", "RS256", "typ", "JWT", "kid", settings->key_id)
				 : json_pack("{s:s, s:s}", "alg", "RS256", "typ", "JWT"));
	claims = make_claims(settings, now);
	if (head && claims && asprintf(&text, "%s.%s", head, claims) < 0)
		text = NULL;
	if (text)
		signature = sign(key, text);
	if (signature && asprintf(out, "%s.%s", text, signature) < 0)
		*out = NULL;
	if (*out)
		result = 0;
	free(head);
	free(claims);
	free(text);
	free(signature);
	EVP_PKEY_free(key);
	return result;
}
