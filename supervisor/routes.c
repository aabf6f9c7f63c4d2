/* SPDX-License-Identifier: MIT */
#include "supervisor/routes.h"
#include "supervisor/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int compare(const void *a, const void *b)
{
	const struct mf_route *one = a;
	const struct mf_route *other = b;
	int by_host = !*one->host - !*other->host;
	size_t bytes = strlen(one->path);
	size_t others = strlen(other->path);

	return by_host ? by_host : (others > bytes) - (others < bytes);
}

static int read_one(struct mf_route *route, char **at, char *end)
{
	struct mf_link_route head;
	size_t left = (size_t)(end - *at);

	if (left < sizeof(head))
		return -EPROTO;
	memcpy(&head, *at, sizeof(head));
	left -= sizeof(head);
	*at += sizeof(head);
	if (!head.host_bytes || !head.path_bytes ||
	    left < (size_t)head.host_bytes + head.path_bytes || (*at)[head.host_bytes - 1] ||
	    (*at)[head.host_bytes + head.path_bytes - 1])
		return -EPROTO;
	*route = (struct mf_route){head.tenant, *at, *at + head.host_bytes};
	*at += head.host_bytes + head.path_bytes;
	return 0;
}

int mf_routes_read(struct mf_routes *routes, const char *bytes, size_t size, size_t count)
{
	struct mf_routes fresh = {calloc(count + 1, sizeof(struct mf_route)), 0, malloc(size + 1)};
	char *at = fresh.texts;
	int ret = fresh.routes && fresh.texts ? 0 : -ENOMEM;

	if (!ret)
		memcpy(fresh.texts, bytes, size);
	for (; !ret && fresh.count < count; fresh.count++)
		ret = read_one(&fresh.routes[fresh.count], &at, fresh.texts + size);
	if (ret) {
		mf_routes_finish(&fresh);
		return ret;
	}
	qsort(fresh.routes, fresh.count, sizeof(*fresh.routes), compare);
	mf_routes_finish(routes);
	*routes = fresh;
	return 0;
}

void mf_routes_finish(struct mf_routes *routes)
{
	free(routes->routes);
	free(routes->texts);
	*routes = (struct mf_routes){0};
}

uint32_t mf_routes_find(const struct mf_routes *routes, const struct mf_asked *asked)
{
	size_t i;

	for (i = 0; i < routes->count; i++) {
		const struct mf_route *route = &routes->routes[i];

		if ((!*route->host || !strcmp(route->host, asked->host)) &&
		    mf_path_fits(route->path, asked->path, asked->path_bytes))
			return route->tenant;
	}
	return 0;
}

size_t mf_routes_scope(const struct mf_routes *routes, const char *host, uint32_t tenant, char *out,
		       size_t room)
{
	size_t used = strlen(host) + 1;
	size_t i;

	if (used > room)
		return 0;
	memcpy(out, host, used);
	for (i = 0; i < routes->count; i++) {
		const struct mf_route *route = &routes->routes[i];
		size_t bytes = strlen(route->path) + 1;

		if (*route->host && strcmp(route->host, host))
			continue;
		if (used + 1 + bytes > room)
			return 0;
		out[used++] = route->tenant == tenant ? '+' : '-';
		memcpy(out + used, route->path, bytes);
		used += bytes;
	}
	return used;
}

/* The end of the line at `at`, its line end not counted; *next is behind that. */
static const char *end_of_line(const char *at, const char *end, const char **next)
{
	const char *line = memchr(at, '\n', (size_t)(end - at));

	if (!line)
		return NULL;
	*next = line + 1;
	return line > at && line[-1] == '\r' ? line - 1 : line;
}

static void read_host(const char *line, const char *end, const char **host, size_t *bytes)
{
	if (*host || end - line < 5 || strncasecmp(line, "host:", 5))
		return;
	for (line += 5; line < end && (*line == ' ' || *line == '\t');)
		line++;
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*host = line;
	*bytes = (size_t)(end - line);
}

size_t mf_head_read(const char *bytes, size_t size, struct mf_asked *asked)
{
	const char *end = bytes + size;
	const char *at = bytes;
	const char *target = "/";
	const char *host = NULL;
	const char *line;
	const char *next;
	size_t target_bytes = 1;
	size_t host_bytes = 0;
	bool first = true;

	while ((line = end_of_line(at, end, &next))) {
		if (line == at && !first)
			break;
		if (first && line > at) {
			const char *space = memchr(at, ' ', (size_t)(line - at));
			const char *behind =
				space ? memchr(space + 1, ' ', (size_t)(line - space - 1)) : NULL;

			if (behind) {
				target = space + 1;
				target_bytes = (size_t)(behind - target);
			}
			first = false;
		} else if (!first) {
			read_host(at, line, &host, &host_bytes);
		}
		at = next;
	}
	if (!line)
		return 0;
	mf_asked_read(asked, target, target_bytes, host, host_bytes);
	return (size_t)(next - bytes);
}
