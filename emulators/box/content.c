/* SPDX-License-Identifier: MIT */
#include "emulators/box/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define BLOCK	  (256u << 10)

static int content_make_folder(const char *folder, const char *name)
{
	char path[PATH_SIZE];

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int content_prepare(const char *folder)
{
	int error, fd;
	struct dirent *entry;
	char name[32], path[PATH_SIZE];
	DIR *incoming;

	if ((error = content_make_folder(folder, "content")) || (error = content_make_folder(folder, "incoming")) ||
	    (error = content_make_folder(folder, "sessions")))
		return error;
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "content/%02x", i);
		if ((error = content_make_folder(folder, name)))
			return error;
	}
	if (snprintf(path, sizeof(path), "%s/incoming", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	incoming = opendir(path);
	if (!incoming)
		return -errno;
	fd = dirfd(incoming);
	while ((entry = readdir(incoming))) {
		if (entry->d_name[0] != '.')
			unlinkat(fd, entry->d_name, 0);
	}
	closedir(incoming);
	return 0;
}

int content_start(struct content_writer *writer, const char *folder)
{
	int error = -ENOMEM;

	memset(writer, 0, sizeof(*writer));
	writer->fd = -1;
	writer->hash = EVP_MD_CTX_new();
	if (!writer->hash || EVP_DigestInit_ex(writer->hash, EVP_sha1(), NULL) != 1)
		goto fail;
	if (asprintf(&writer->path, "%s/incoming/XXXXXX", folder) < 0) {
		writer->path = NULL;
		goto fail;
	}
	writer->fd = mkostemp(writer->path, O_CLOEXEC);
	if (writer->fd < 0) {
		error = -errno;
		free(writer->path);
		writer->path = NULL;
		goto fail;
	}
	return 0;

fail:
	content_discard(writer);
	return error;
}

int content_write(struct content_writer *writer, const void *data, size_t size)
{
	const char *next = data;
	ssize_t done;

	if (EVP_DigestUpdate(writer->hash, data, size) != 1)
		return -EIO;
	writer->size += size;
	while (size) {
		done = write(writer->fd, next, size);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		next += done;
		size -= (size_t)done;
	}
	return 0;
}

static void content_hex(const unsigned char *digest, char sha1[CONTENT_SHA1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 20; i++) {
		sha1[2 * i] = digits[digest[i] >> 4];
		sha1[2 * i + 1] = digits[digest[i] & 15];
	}
	sha1[40] = '\0';
}

int content_finish(struct content_writer *writer)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(writer->hash, digest, NULL) != 1)
		return -EIO;
	content_hex(digest, writer->sha1);
	return 0;
}

static int content_path(char path[PATH_SIZE], const char *folder, const char *sha1)
{
	if (strlen(sha1) != 40 || strspn(sha1, "0123456789abcdef") != 40)
		return -EINVAL;
	return snprintf(path, PATH_SIZE, "%s/content/%.2s/%s", folder, sha1, sha1) >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

int content_adopt(const char *folder, const char *path, const char *sha1)
{
	char target[PATH_SIZE];
	int error = content_path(target, folder, sha1);

	if (error)
		return error;
	return rename(path, target) ? -errno : 0;
}

int content_keep(struct content_writer *writer, const char *folder)
{
	int error = content_adopt(folder, writer->path, writer->sha1);

	if (error)
		return error;
	free(writer->path);
	writer->path = NULL;
	return 0;
}

void content_discard(struct content_writer *writer)
{
	if (writer->fd >= 0)
		close(writer->fd);
	writer->fd = -1;
	if (writer->path)
		unlink(writer->path);
	free(writer->path);
	writer->path = NULL;
	EVP_MD_CTX_free(writer->hash);
	writer->hash = NULL;
}

int content_open(const char *folder, const char *sha1)
{
	char path[PATH_SIZE];
	int error = content_path(path, folder, sha1), fd;

	if (error)
		return error;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void content_drop(struct store *store, const char *sha1)
{
	char path[PATH_SIZE];

	if (content_path(path, store->folder, sha1) == 0 &&
	    store_number(store, 0, "SELECT 1 FROM version WHERE sha1 = ? LIMIT 1", "s", sha1) == 0 && !store->failed)
		unlink(path);
}

int content_hash(int fd, uint64_t offset, uint64_t size, char sha1[CONTENT_SHA1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	char *block = malloc(BLOCK);
	int error = -ENOMEM;
	ssize_t got;

	if (!hash || !block || EVP_DigestInit_ex(hash, EVP_sha1(), NULL) != 1)
		goto out;
	while (size) {
		got = pread(fd, block, size < BLOCK ? size : BLOCK, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		error = got < 0 ? -errno : -EIO;
		if (got <= 0 || EVP_DigestUpdate(hash, block, (size_t)got) != 1)
			goto out;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	error = -EIO;
	if (EVP_DigestFinal_ex(hash, digest, NULL) != 1)
		goto out;
	content_hex(digest, sha1);
	error = 0;

out:
	free(block);
	EVP_MD_CTX_free(hash);
	return error;
}

static int content_nibble(char digit)
{
	return digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10;
}

void content_base64(const char *sha1, char out[32])
{
	unsigned char digest[20];

	for (int i = 0; i < 20; i++)
		digest[i] = (unsigned char)(content_nibble(sha1[2 * i]) << 4 | content_nibble(sha1[2 * i + 1]));
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

bool content_from_base64(const char *text, char sha1[CONTENT_SHA1])
{
	unsigned char digest[24];

	if (strlen(text) != 28 || text[27] != '=' || text[26] == '=' ||
	    EVP_DecodeBlock(digest, (const unsigned char *)text, 28) != 21)
		return false;
	content_hex(digest, sha1);
	return true;
}
