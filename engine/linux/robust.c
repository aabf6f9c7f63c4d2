/* SPDX-License-Identifier: MIT */
/*
 * Robust futexes: a list in guest memory of the locks that a thread holds, which is walked when it
 * ends (Documentation/locking/robust-futex-ABI.rst). The program may have written anything there.
 */
#include "engine/linux/futex.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"

#include <errno.h>
#include <linux/futex.h>

#define PI_BIT 1ull /* of an entry's address */

int64_t mf_sys_set_robust_list(struct mf_process *process, const uint64_t arg[6])
{
	if (arg[1] != sizeof(struct robust_list_head))
		return -EINVAL;
	MF_THREAD_DIRTY(process, robust_list) = arg[0];
	return 0;
}

int64_t mf_sys_get_robust_list(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t bytes = sizeof(struct robust_list_head);
	int i = mf_thread_find(process, (uint32_t)arg[0]);

	if (i < 0)
		return -ESRCH;
	if (mf_guest_write(process, arg[2], &bytes, sizeof(bytes)) ||
	    mf_guest_write(process, arg[1], &lx->threads[i].robust_list, 8))
		return -EFAULT;
	return 0;
}

/* The guest's struct robust_list_head. */
struct head {
	uint64_t next;
	int64_t offset;   /* from an entry to its futex */
	uint64_t pending; /* was about to be taken or given back */
};

void mf_robust_exit(struct mf_process *process)
{
	uint64_t list = mf_thread(process)->robust_list;
	unsigned int left = ROBUST_LIST_LIMIT;
	struct head head;
	uint64_t entry;
	bool go_on = true;

	mf_futex_owner_died(process);
	if (!list || mf_guest_read(process, list, &head, sizeof(head)))
		return;
	for (entry = head.next; go_on && left && (entry & ~PI_BIT) != list; left--) {
		uint64_t at = entry & ~PI_BIT;
		uint64_t next;

		/* The next one is read first: who is woken may change it. */
		go_on = !mf_guest_read(process, at, &next, sizeof(next));
		if (at != (head.pending & ~PI_BIT))
			go_on = mf_futex_died(process, at + (uint64_t)head.offset, entry & PI_BIT,
					      false) &&
				go_on;
		entry = next;
	}
	if (head.pending)
		mf_futex_died(process, (head.pending & ~PI_BIT) + (uint64_t)head.offset,
			      head.pending & PI_BIT, true);
}
