/* SPDX-License-Identifier: MIT */
/*
 * download.h - bytes that go out
 *
 * A download is two calls: GET /files/ID/content answers 302 to another host, and there a URL that carries what it
 * is good for and until when, signed with the service's secret, gives the bytes, whole or a range of them.
 */
#ifndef BOX_DOWNLOAD_H
#define BOX_DOWNLOAD_H

#include "emulators/box/request.h"

void download_redirect(struct request *request);
void download_data(struct request *request);

#endif
