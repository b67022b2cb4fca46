/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/content_store.h"
#include "cache/digest.h"

#define PIECE (256u << 10)

struct content_digest {
	EVP_MD_CTX *context;
	bool failed;
};

struct content_digest *content_digest_new(const struct content_store *store)
{
	const EVP_MD *kind = digest_kind(store->config.remote);
	struct content_digest *digest;

	if (!kind)
		return NULL;
	digest = calloc(1, sizeof(*digest));
	if (!digest)
		return NULL;
	digest->context = EVP_MD_CTX_new();
	if (!digest->context || EVP_DigestInit_ex(digest->context, kind, NULL) != 1) {
		content_digest_free(digest);
		return NULL;
	}
	return digest;
}

void content_digest_free(struct content_digest *digest)
{
	if (!digest)
		return;
	EVP_MD_CTX_free(digest->context);
	free(digest);
}

void content_digest_add(struct content_digest *digest, const void *data, size_t size)
{
	if (EVP_DigestUpdate(digest->context, data, size) != 1)
		digest->failed = true;
}

bool content_digest_fits(struct content_digest *digest, const uint8_t *expected, size_t length)
{
	unsigned char found[EVP_MAX_MD_SIZE];
	unsigned found_length = 0;
	bool fits;

	fits = !digest->failed && EVP_DigestFinal_ex(digest->context, found, &found_length) == 1 &&
	       found_length == length && memcmp(found, expected, length) == 0;
	content_digest_free(digest);
	return fits;
}

/* Read the file and compare: 1 it fits, 0 it does not, or a negative errno. No lock is held. */
static int read_and_compare(struct content *content, uint64_t size)
{
	struct content_digest *digest = content_digest_new(content->store);
	unsigned char *piece = malloc(PIECE);
	uint64_t at = 0;
	int ret = digest && piece ? 0 : -ENOMEM;

	while (!ret && at < size) {
		ssize_t got = pread(content->fd, piece, PIECE, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			ret = got < 0 ? -errno : -EIO;
			break;
		}
		content_digest_add(digest, piece, (size_t)got);
		at += (uint64_t)got;
	}
	free(piece);
	if (ret) {
		content_digest_free(digest);
		return ret;
	}
	return content_digest_fits(digest, content->digest, content->digest_length);
}

void content_misfit(struct content *content)
{
	content_log(content->store, 1, "%llu bytes of %.200s do not fit their digest and are fetched again",
		    (unsigned long long)content->size, content->remote ? content->remote : "");
	content->misfits++;
	content->whole = false;
	content_map_clear(&content->map);
}

int content_check(struct content *content)
{
	uint64_t size = content->size;
	int ret = 1;

	/* What was changed here, or has no digest that is known, is taken as it is. */
	if (!content->local && content->digest_length > 0 &&
	    content->store->config.remote->digest != DW_REMOTE_DIGEST_NONE &&
	    content->store->config.remote->digest <= DW_REMOTE_DIGEST_MD5) {
		content->checking = true;
		pthread_mutex_unlock(&content->lock);
		ret = read_and_compare(content, size);
		pthread_mutex_lock(&content->lock);
		content->checking = false;
	}
	if (ret > 0)
		content->whole = true;
	else if (ret == 0)
		content_misfit(content);
	pthread_cond_broadcast(&content->changed);
	pthread_mutex_unlock(&content->lock);
	content_save_later(content);
	pthread_mutex_lock(&content->lock);
	return ret > 0 ? 0 : ret ? ret : -EIO;
}
