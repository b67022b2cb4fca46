/* SPDX-License-Identifier: MIT */
#include "emulators/box/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY	 86400L
#define LIFETIME (3650 * DAY)
#define LARGEST	 65536

static const char names[] = "DNS:api.box.com,DNS:upload.box.com,DNS:upload.app.box.com,DNS:app.box.com,"
			    "DNS:account.box.com,DNS:dl.boxcloud.com,DNS:localhost,IP:127.0.0.1,IP:::1";

static bool certificate_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool done;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	done = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return done;
}

/* A certificate for key; issuer NULL: it is the authority itself. NULL when that fails. */
static X509 *certificate_make(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *certificate = X509_new();
	unsigned char serial[8];
	uint64_t number;
	X509_NAME *subject;
	bool done = false;

	if (!certificate || RAND_bytes(serial, sizeof(serial)) != 1)
		goto out;
	memcpy(&number, serial, sizeof(number));
	subject = X509_get_subject_name(certificate);
	if (X509_set_version(certificate, 2) != 1 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1) != 1 ||
	    !X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY) ||
	    !X509_gmtime_adj(X509_getm_notAfter(certificate), LIFETIME) ||
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject) != 1 ||
	    X509_set_pubkey(certificate, key) != 1)
		goto out;
	if (!certificate_extend(certificate, issuer ? issuer : certificate, NID_subject_key_identifier, "hash"))
		goto out;
	if (issuer)
		done = certificate_extend(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
		       certificate_extend(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
		       certificate_extend(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
		       certificate_extend(certificate, issuer, NID_authority_key_identifier, "keyid") &&
		       certificate_extend(certificate, issuer, NID_subject_alt_name, names);
	else
		done = certificate_extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE") &&
		       certificate_extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
	done = done && X509_sign(certificate, issuer ? issuer_key : key, EVP_sha256()) > 0;

out:
	if (!done) {
		X509_free(certificate);
		certificate = NULL;
	}
	return certificate;
}

static FILE *certificate_file(const char *folder, const char *name, mode_t mode)
{
	FILE *file = NULL;
	char *path;
	int fd;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return NULL;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	free(path);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "w");
	if (!file)
		close(fd);
	return file;
}

static int certificate_save(const char *folder, const char *name, X509 *first, X509 *second, EVP_PKEY *key)
{
	FILE *file = certificate_file(folder, name, key ? 0600 : 0644);
	bool done = file;

	if (file && key)
		done = PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (done && first)
		done = PEM_write_X509(file, first) == 1;
	if (done && second)
		done = PEM_write_X509(file, second) == 1;
	if (file && fclose(file))
		done = false;
	return done ? 0 : -EIO;
}

/* Make all four files. */
static int certificate_create(const char *folder)
{
	EVP_PKEY *authority_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *authority = NULL, *certificate = NULL;
	int error = -EIO;

	if (!authority_key || !key)
		goto out;
	authority = certificate_make(authority_key, "Driveway Box emulator", NULL, NULL);
	if (!authority)
		goto out;
	certificate = certificate_make(key, "api.box.com", authority, authority_key);
	if (!certificate)
		goto out;
	if ((error = certificate_save(folder, "ca-key.pem", NULL, NULL, authority_key)) ||
	    (error = certificate_save(folder, "ca.pem", authority, NULL, NULL)) ||
	    (error = certificate_save(folder, "server-key.pem", NULL, NULL, key)))
		goto out;
	error = certificate_save(folder, "server.pem", certificate, authority, NULL);

out:
	X509_free(certificate);
	X509_free(authority);
	EVP_PKEY_free(key);
	EVP_PKEY_free(authority_key);
	return error;
}

static char *certificate_read(const char *folder, const char *name)
{
	char *path = NULL, *text = calloc(1, LARGEST);
	size_t size = 0;
	FILE *file;

	if (!text || asprintf(&path, "%s/%s", folder, name) < 0) {
		free(text);
		return NULL;
	}
	file = fopen(path, "re");
	free(path);
	if (file) {
		size = fread(text, 1, LARGEST - 1, file);
		fclose(file);
	}
	if (!size) {
		free(text);
		text = NULL;
	}
	return text;
}

/* The certificate has a day to live and its key is there. */
static bool certificate_usable(const char *text)
{
	BIO *memory = BIO_new_mem_buf(text, -1);
	X509 *certificate = memory ? PEM_read_bio_X509(memory, NULL, NULL, NULL) : NULL;
	time_t tomorrow = time(NULL) + DAY;
	bool usable = certificate && X509_cmp_time(X509_get0_notAfter(certificate), &tomorrow) > 0;

	X509_free(certificate);
	BIO_free(memory);
	return usable;
}

int certificate_prepare(const char *folder, char **certificate, char **key)
{
	int error = 0;

	*certificate = certificate_read(folder, "server.pem");
	*key = certificate_read(folder, "server-key.pem");
	if (*certificate && *key && certificate_usable(*certificate))
		return 0;
	free(*certificate);
	free(*key);
	error = certificate_create(folder);
	*certificate = error ? NULL : certificate_read(folder, "server.pem");
	*key = error ? NULL : certificate_read(folder, "server-key.pem");
	if (!error && (!*certificate || !*key)) {
		free(*certificate);
		free(*key);
		*certificate = *key = NULL;
		error = -EIO;
	}
	return error;
}
