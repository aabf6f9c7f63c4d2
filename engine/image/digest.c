/* SPDX-License-Identifier: MIT */
#include "engine/image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK_BYTES (256u << 10)

struct mf_digest {
	EVP_MD_CTX *context;
	bool failed;
};

struct mf_digest *mf_digest_begin(void)
{
	struct mf_digest *digest = calloc(1, sizeof(*digest));

	if (!digest)
		return NULL;
	digest->context = EVP_MD_CTX_new();
	if (!digest->context) {
		free(digest);
		return NULL;
	}
	digest->failed = EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1;
	return digest;
}

void mf_digest_add(struct mf_digest *digest, const void *bytes, size_t size)
{
	digest->failed |= EVP_DigestUpdate(digest->context, bytes, size) != 1;
}

int mf_digest_end(struct mf_digest *digest, uint8_t out[MF_DIGEST_BYTES])
{
	unsigned char value[EVP_MAX_MD_SIZE];
	bool failed = digest->failed || EVP_DigestFinal_ex(digest->context, value, NULL) != 1;
	size_t i;

	for (i = 0; out && !failed && i < MF_DIGEST_BYTES; i++)
		out[i] = value[i];
	EVP_MD_CTX_free(digest->context);
	free(digest);
	return failed ? -EIO : 0;
}

int mf_digest_file(int fd, uint8_t out[MF_DIGEST_BYTES])
{
	struct mf_digest *digest = mf_digest_begin();
	uint8_t *chunk = malloc(CHUNK_BYTES);
	off_t at = 0;
	ssize_t got = 1;
	int ret = digest && chunk ? 0 : -ENOMEM;

	while (!ret && got > 0) {
		got = TEMP_FAILURE_RETRY(pread(fd, chunk, CHUNK_BYTES, at));
		if (got < 0)
			ret = -errno;
		else
			mf_digest_add(digest, chunk, (size_t)got);
		at += got;
	}
	free(chunk);
	if (digest && mf_digest_end(digest, ret ? NULL : out) && !ret)
		ret = -EIO;
	return ret;
}
