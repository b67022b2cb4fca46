/* SPDX-License-Identifier: MIT */
/* digest.h - the kind of digest that a remote tells of files. Any thread. */
#ifndef CACHE_DIGEST_H
#define CACHE_DIGEST_H

#include <driveway/remote.h>
#include <openssl/evp.h>

/* NULL: it tells none, or one that is not known here. */
static inline const EVP_MD *digest_kind(const struct dw_remote *remote)
{
	switch (remote->digest) {
	case DW_REMOTE_DIGEST_SHA1:
		return EVP_sha1();
	case DW_REMOTE_DIGEST_SHA256:
		return EVP_sha256();
	case DW_REMOTE_DIGEST_MD5:
		return EVP_md5();
	default:
		return NULL;
	}
}

#endif
