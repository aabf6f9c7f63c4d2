/* SPDX-License-Identifier: MIT */
#include "ipc/socket/scope.h"

#include <string.h>
#include <strings.h>

void mf_host_normalize(char out[MF_HOST_MAX], const char *host, size_t bytes)
{
	size_t end = bytes;
	size_t i;

	/* A port stands behind the last colon; one within brackets belongs to the address. */
	for (i = bytes; i > 0 && host[i - 1] != ']'; i--)
		if (host[i - 1] == ':') {
			end = i - 1;
			break;
		}
	if (end > 0 && host[end - 1] == '.')
		end--;
	if (end >= MF_HOST_MAX)
		end = 0;
	for (i = 0; i < end; i++)
		out[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
	out[end] = '\0';
}

/* The host of an absolute target: "http://HOST[:PORT]/PATH". */
static bool read_absolute(struct mf_asked *asked, const char *target, size_t bytes)
{
	static const char *const schemes[] = {"http://", "https://"};
	size_t i;

	for (i = 0; i < 2; i++) {
		size_t skip = strlen(schemes[i]);
		size_t host;

		if (bytes < skip || strncasecmp(target, schemes[i], skip))
			continue;
		for (host = 0; skip + host < bytes && !strchr("/?#", target[skip + host]);)
			host++;
		mf_host_normalize(asked->host, target + skip, host);
		asked->path = target + skip + host;
		asked->path_bytes = bytes - skip - host;
		return true;
	}
	return false;
}

void mf_asked_read(struct mf_asked *asked, const char *target, size_t target_bytes,
		   const char *host, size_t host_bytes)
{
	asked->host[0] = '\0';
	asked->path = target;
	asked->path_bytes = target_bytes;
	if (!read_absolute(asked, target, target_bytes) && host)
		mf_host_normalize(asked->host, host, host_bytes);
	if (!asked->path_bytes || *asked->path != '/') {
		asked->path = "/";
		asked->path_bytes = 1;
	}
}

bool mf_path_fits(const char *prefix, const char *path, size_t path_bytes)
{
	size_t bytes = strlen(prefix);

	while (bytes && prefix[bytes - 1] == '/')
		bytes--;
	if (bytes > path_bytes || memcmp(prefix, path, bytes))
		return false;
	return bytes == path_bytes || path[bytes] == '/' || path[bytes] == '?';
}

bool mf_scope_allows(const char *scope, size_t bytes, const struct mf_asked *asked)
{
	const char *at = scope;
	const char *end = scope + bytes;

	if (!bytes)
		return true;
	if (end[-1] || strcmp(at, asked->host))
		return false;
	for (at += strlen(at) + 1; at < end; at += strlen(at) + 1)
		if (*at && mf_path_fits(at + 1, asked->path, asked->path_bytes))
			return *at == '+';
	return false;
}
