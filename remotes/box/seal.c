/* SPDX-License-Identifier: MIT */
#include "remotes/box/seal.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NONCE 12u
#define TAG   16u
#define HEAD  (NONCE + TAG)

/* What stands beside the seal. */
static const char *const named[] = {"user-id", "api-url", "upload-url"};

bool box_is_sealed(const json_t *file)
{
	return json_is_string(json_object_get(file, "sealed"));
}

static bool encrypt(const uint8_t key[BOX_KEY], const char *text, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int done = 0, rest = 0;
	bool good = cipher && getrandom(out, NONCE, 0) == NONCE &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, out) == 1 &&
		    EVP_EncryptUpdate(cipher, out + HEAD, &done, (const uint8_t *)text, (int)size) == 1 &&
		    EVP_EncryptFinal_ex(cipher, out + HEAD + done, &rest) == 1 && (size_t)(done + rest) == size &&
		    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG, out + NONCE) == 1;

	EVP_CIPHER_CTX_free(cipher);
	return good;
}

static bool decrypt(const uint8_t key[BOX_KEY], uint8_t *sealed, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int done = 0, rest = 0;
	bool good = cipher && EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, sealed) == 1 &&
		    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG, sealed + NONCE) == 1 &&
		    EVP_DecryptUpdate(cipher, out, &done, sealed + HEAD, (int)size) == 1 &&
		    EVP_DecryptFinal_ex(cipher, out + done, &rest) == 1;

	EVP_CIPHER_CTX_free(cipher);
	return good;
}

static int copy_names(const json_t *login, json_t *file)
{
	int result = file ? 0 : -1;

	for (size_t i = 0; !result && i < sizeof(named) / sizeof(*named); i++) {
		json_t *name = json_object_get(login, named[i]);

		if (name)
			result = json_object_set(file, named[i], name);
	}
	return result;
}

static bool names_agree(const json_t *file, const json_t *login)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
		const json_t *name = json_object_get(file, named[i]);

		if (name && !json_equal(name, json_object_get(login, named[i])))
			return false;
	}
	return true;
}

json_t *box_seal(const json_t *login, const uint8_t key[BOX_KEY])
{
	char *text = json_dumps(login, JSON_COMPACT), *base64 = NULL;
	size_t size = text ? strlen(text) : 0;
	uint8_t *sealed = NULL;
	json_t *file = NULL;

	if (text && size < INT_MAX / 2) {
		sealed = malloc(HEAD + size);
		base64 = malloc((HEAD + size + 2) / 3 * 4 + 1);
	}
	if (sealed && base64 && encrypt(key, text, size, sealed)) {
		EVP_EncodeBlock((uint8_t *)base64, sealed, (int)(HEAD + size));
		file = json_pack("{s:s}", "sealed", base64);
		if (copy_names(login, file)) {
			json_decref(file);
			file = NULL;
		}
	}
	if (text)
		explicit_bzero(text, size);
	free(text);
	free(sealed);
	free(base64);
	return file;
}

json_t *box_unseal(const json_t *file, const uint8_t key[BOX_KEY])
{
	const json_t *member = json_object_get(file, "sealed");
	const char *base64 = json_string_value(member);
	size_t length = json_string_length(member), size;
	uint8_t *sealed = NULL, *text = NULL;
	json_t *login = NULL;

	if (!base64 || length % 4 || length < HEAD || length > INT_MAX / 2)
		return NULL;
	size = length / 4 * 3;
	size -= (base64[length - 1] == '=') + (base64[length - 2] == '=');
	sealed = malloc(length);
	text = size > HEAD ? malloc(size) : NULL;
	if (sealed && text && EVP_DecodeBlock(sealed, (const uint8_t *)base64, (int)length) >= 0 &&
	    decrypt(key, sealed, size - HEAD, text))
		login = json_loadb((const char *)text, size - HEAD, 0, NULL);
	if (text)
		explicit_bzero(text, size);
	free(sealed);
	free(text);
	if (!json_is_object(login) || !names_agree(file, login)) {
		json_decref(login);
		login = NULL;
	}
	return login;
}
