/* SPDX-License-Identifier: MIT */
/*
 * certificate.h - the emulator's own certificate authority
 *
 * Made at the first start and kept: DIR/ca.pem (what clients are told to trust), DIR/ca-key.pem, DIR/server.pem (the
 * server's certificate and the authority's) and DIR/server-key.pem. The certificate is good for the host names of Box
 * that the clients use, localhost and 127.0.0.1, and is made anew when less than a day of it is left.
 */
#ifndef BOX_CERTIFICATE_H
#define BOX_CERTIFICATE_H

/* The server's certificate and key in PEM, both to be freed. -EIO, -ENOMEM and others of the file system. */
int certificate_prepare(const char *folder, char **certificate, char **key);

#endif
