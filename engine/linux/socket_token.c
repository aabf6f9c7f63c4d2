/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that a program sends to itself. Most descriptions are plain data of their VM, so that
 * the host cannot carry them: it carries an empty file instead, and who receives that gets the
 * description, whatever kind it is of. One that is on its way is held; what is lost in a queue that
 * nobody reads is held until the VM is reset.
 */
#include "engine/linux/socket.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int find(const struct mf_process *process, uint64_t device, uint64_t inode)
{
	const struct mf_socket_token *tokens = mf_linux(process)->socket_tokens;
	int i;

	for (i = 0; i < (int)MF_SOCKET_TOKENS; i++) {
		if (tokens[i].inode == inode && (!inode || tokens[i].device == device))
			return i;
	}
	return -1;
}

static int find_host(const struct mf_process *process, int host)
{
	struct stat st;

	if (fstat(host, &st) || !S_ISREG(st.st_mode) || st.st_size || !st.st_ino)
		return -1;
	return find(process, st.st_dev, st.st_ino);
}

int mf_token_make(struct mf_process *process, const struct mf_fd *description)
{
	int place = find(process, 0, 0);
	struct stat st;
	int host;

	if (place < 0)
		return -ETOOMANYREFS;
	host = memfd_create("token", MFD_CLOEXEC);
	if (host < 0)
		return -errno;
	if (fstat(host, &st)) {
		close(host);
		return -EIO;
	}
	MF_DIRTY(process, socket_tokens[place]) = (struct mf_socket_token){
		.device = st.st_dev,
		.inode = st.st_ino,
		.description = mf_fd_index(process, description),
	};
	mf_fd_hold(process, description);
	return host;
}

void mf_token_forget(struct mf_process *process, int host)
{
	int place = find_host(process, host);
	uint32_t description;

	if (place < 0)
		return;
	description = mf_linux(process)->socket_tokens[place].description;
	MF_DIRTY(process, socket_tokens[place].inode) = 0;
	mf_fd_drop(process, mf_fd_at(process, description));
}

const struct mf_fd *mf_token_find(struct mf_process *process, int host)
{
	int place = find_host(process, host);

	return place < 0 ? NULL
			 : mf_fd_at(process, mf_linux(process)->socket_tokens[place].description);
}
