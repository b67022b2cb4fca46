/* SPDX-License-Identifier: MIT */
#include "emulators/box/download.h"

#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "support/text.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICKET_SIZE    128
#define SIGNATURE_SIZE 33

/* The first sixteen bytes of an HMAC as hexadecimal digits. */
static bool download_sign(struct request *request, const char *text, char out[SIGNATURE_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	if (!HMAC(EVP_sha256(), request->emulator->secret, sizeof(request->emulator->secret),
		  (const unsigned char *)text, strlen(text), digest, &size) ||
	    size < 16)
		return false;
	for (int i = 0; i < 16; i++)
		text_format(out + 2 * (size_t)i, 3, "%02x", digest[i]);
	return true;
}

void download_redirect(struct request *request)
{
	struct emulator *emulator = request->emulator;
	const char *version = request_query(request, "version");
	char base[512], ticket[TICKET_SIZE], signature[SIGNATURE_SIZE], url[1024];
	struct item item;
	uint64_t number;

	if (!check_this_item(request, &item))
		return;
	if (version) {
		if (text_parse_number(version, INT64_MAX, &number) ||
		    !store_number(emulator->store, 0, "SELECT 1 FROM version WHERE id = ? AND file = ?", "ii",
				  (int64_t)number, item.key)) {
			answer_error(request, 404, NULL, "there is no such version");
			return;
		}
		item.version = (int64_t)number;
	}
	text_format(ticket, sizeof(ticket), "%lld-%lld-%lld", (long long)item.key, (long long)item.version,
		    (long long)(clock_now(&emulator->clock) + emulator_setting(emulator, SETTING_DOWNLOAD_LIFE)));
	if (!download_sign(request, ticket, signature) || !request_base(request, HOST_DOWNLOAD, base, sizeof(base))) {
		answer_error(request, 500, NULL, "there is no URL to give");
		return;
	}
	text_format(url, sizeof(url), "%s/d/1/%s-%s/download", base, ticket, signature);
	answer_empty(request, 302);
	answer_header(request, "Location", url);
}

/* What a ticket is good for; false when it is forged or over. */
static bool download_check(struct request *request, int64_t *key, int64_t *version)
{
	char ticket[REQUEST_TEXT], signature[SIGNATURE_SIZE], *mark;
	long long expires, a, b;

	text_copy(ticket, sizeof(ticket), request->arguments[0]);
	mark = strrchr(ticket, '-');
	if (!mark)
		return false;
	*mark++ = '\0';
	if (strlen(mark) != SIGNATURE_SIZE - 1 || !download_sign(request, ticket, signature) ||
	    CRYPTO_memcmp(mark, signature, SIGNATURE_SIZE - 1) != 0)
		return false;
	/* Signed by us, so it is well formed. */
	a = strtoll(ticket, &mark, 10);
	b = strtoll(mark + 1, &mark, 10);
	expires = strtoll(mark + 1, &mark, 10);
	*key = a;
	*version = b;
	return expires > clock_now(&request->emulator->clock);
}

static bool download_digits(const char **text, uint64_t *out)
{
	char digits[24];
	size_t length = strspn(*text, "0123456789");

	if (!length || length >= sizeof(digits))
		return false;
	text_format(digits, sizeof(digits), "%.*s", (int)length, *text);
	*text += length;
	return text_parse_number(digits, INT64_MAX, out) == 0;
}

enum range {
	RANGE_NONE, /* no header, or one that is to be ignored */
	RANGE_GOOD,
	RANGE_OUTSIDE,
};

/* A single range of bytes; several at once are answered with the whole. */
static enum range download_range(const char *text, uint64_t size, uint64_t *first, uint64_t *last)
{
	uint64_t number;

	if (!text || strncasecmp(text, "bytes=", 6) != 0)
		return RANGE_NONE;
	text += 6;
	text += strspn(text, " ");
	if (*text == '-') {
		text++;
		if (!download_digits(&text, &number) || *text)
			return RANGE_NONE;
		if (number == 0 || size == 0)
			return RANGE_OUTSIDE;
		*first = number < size ? size - number : 0;
		*last = size - 1;
		return RANGE_GOOD;
	}
	if (!download_digits(&text, first) || *text++ != '-')
		return RANGE_NONE;
	*last = UINT64_MAX;
	if (*text && (!download_digits(&text, last) || *text || *last < *first))
		return RANGE_NONE;
	if (*first >= size)
		return RANGE_OUTSIDE;
	if (*last >= size)
		*last = size - 1;
	return RANGE_GOOD;
}

/* A name in a header: nothing but plain characters, and the true one as RFC 5987 has it. */
static void download_disposition(struct request *request, const char *name)
{
	char plain[256], encoded[3 * 1024 + 1], header[4096];
	size_t out = 0, in = 0;

	for (; name[in] && in < sizeof(plain) - 1; in++) {
		unsigned char c = (unsigned char)name[in];

		plain[in] = (char)(c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? '_' : c);
	}
	plain[in] = '\0';
	for (in = 0; name[in] && out + 4 < sizeof(encoded); in++) {
		unsigned char c = (unsigned char)name[in];

		if (isalnum(c) || c == '.' || c == '-' || c == '_')
			encoded[out++] = (char)c;
		else
			out += (size_t)snprintf(encoded + out, 4, "%%%02X", c);
	}
	encoded[out] = '\0';
	text_format(header, sizeof(header), "attachment; filename=\"%s\"; filename*=UTF-8''%s", plain, encoded);
	answer_header(request, "Content-Disposition", header);
}

void download_data(struct request *request)
{
	struct store *store = request->emulator->store;
	char sha1[CONTENT_SHA1] = "", name[1024] = "", range[96];
	uint64_t size = 0, first = 0, last = 0;
	int64_t key, version;
	sqlite3_stmt *statement;
	enum range kind;
	bool found;
	int fd = -1;

	if (!download_check(request, &key, &version)) {
		answer_text(request, 404, "text/html", "<html><body>This link is not valid any more.</body></html>");
		return;
	}
	store_lock(store);
	statement = store_ask(
		store,
		"SELECT version.sha1, version.size, item.name FROM version JOIN item ON item.key = version.file"
		" WHERE version.id = ? AND version.file = ?",
		"ii", version, key);
	found = store_next(store, statement);
	if (found) {
		text_copy(sha1, sizeof(sha1), store_text(statement, 0));
		size = (uint64_t)sqlite3_column_int64(statement, 1);
		text_copy(name, sizeof(name), store_text(statement, 2));
		store_done(statement);
		fd = content_open(store->folder, sha1);
	}
	store_end(store);
	store_unlock(store);
	if (fd < 0) {
		answer_text(request, 404, "text/html", "<html><body>This file is gone.</body></html>");
		return;
	}
	kind = download_range(request_header(request, "Range"), size, &first, &last);
	if (kind == RANGE_OUTSIDE) {
		close(fd);
		answer_empty(request, 416);
		text_format(range, sizeof(range), "bytes */%llu", (unsigned long long)size);
		answer_header(request, "Content-Range", range);
		return;
	}
	if (kind == RANGE_NONE) {
		answer_file(request, 200, fd, 0, size, "application/octet-stream");
	} else {
		answer_file(request, 206, fd, first, last - first + 1, "application/octet-stream");
		text_format(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)first,
			    (unsigned long long)last, (unsigned long long)size);
		answer_header(request, "Content-Range", range);
	}
	answer_header(request, "Accept-Ranges", "bytes");
	download_disposition(request, name);
}
