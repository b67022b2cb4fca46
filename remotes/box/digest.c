/* SPDX-License-Identifier: MIT */
#include "remotes/box/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (128u << 10)

struct box_digest {
	EVP_MD_CTX *context;
	bool failed;
};

struct box_digest *box_digest_begin(void)
{
	struct box_digest *digest = calloc(1, sizeof(*digest));

	if (!digest)
		return NULL;
	digest->context = EVP_MD_CTX_new();
	if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha1(), NULL) != 1) {
		EVP_MD_CTX_free(digest->context);
		free(digest);
		return NULL;
	}
	return digest;
}

void box_digest_add(struct box_digest *digest, const void *data, size_t size)
{
	digest->failed = digest->failed || EVP_DigestUpdate(digest->context, data, size) != 1;
}

int box_digest_end(struct box_digest *digest, uint8_t out[BOX_SHA1])
{
	uint8_t ignored[EVP_MAX_MD_SIZE];
	int error;

	if (!digest)
		return -ENOMEM;
	error = digest->failed || EVP_DigestFinal_ex(digest->context, out ? out : ignored, NULL) != 1 ? -EIO : 0;
	EVP_MD_CTX_free(digest->context);
	free(digest);
	return error;
}

int box_digest_content(const struct dw_remote_content *content, uint64_t offset, uint64_t bytes,
		       const volatile uint32_t *cancelled, uint8_t out[BOX_SHA1])
{
	struct box_digest *digest = box_digest_begin();
	char *piece = malloc(PIECE);
	int error = digest && piece ? 0 : -ENOMEM;
	int ended;

	while (!error && bytes) {
		size_t size = bytes < PIECE ? (size_t)bytes : PIECE;

		if (cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
			error = -ECANCELED;
		else
			error = content->read(content, piece, size, offset);
		if (!error)
			box_digest_add(digest, piece, size);
		offset += size;
		bytes -= size;
	}
	free(piece);
	ended = box_digest_end(digest, out);
	return error ? error : ended;
}

void box_digest_hex(const uint8_t digest[BOX_SHA1], char out[BOX_SHA1_HEX])
{
	for (size_t i = 0; i < BOX_SHA1; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void encode(const uint8_t *data, size_t size, const char *alphabet, bool pad, char *out)
{
	for (size_t i = 0; i < size; i += 3) {
		size_t have = size - i < 3 ? size - i : 3;
		uint32_t bits = (uint32_t)data[i] << 16 | (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(have > 2 ? data[i + 2] : 0);

		for (size_t j = 0; j < 4; j++) {
			if (j <= have)
				*out++ = alphabet[bits >> (18 - 6 * j) & 63];
			else if (pad)
				*out++ = '=';
		}
	}
	*out = 0;
}

void box_digest_base64(const uint8_t digest[BOX_SHA1], char out[BOX_SHA1_TEXT])
{
	encode(digest, BOX_SHA1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true, out);
}

void box_base64url(const void *data, size_t size, char *out)
{
	encode(data, size, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false, out);
}
