/* SPDX-License-Identifier: MIT */
/*
 * Whose transaction a call is part of, and when it ends: the request's, which the engine ends; one
 * that the caller began itself; or the call's own.
 */
#ifndef MF_GUEST_STORE_SESSION_H
#define MF_GUEST_STORE_SESSION_H

#include "txn_own.h"

/* For mf_storage_serve_transactions(). Once, behind kv_env_open(); -ENOMEM. */
int kv_sessions_open(uint32_t channels);
extern const struct mf_storage_transactions kv_transactions;

/* What belongs to a channel beside its transaction, and goes with it. */
struct kv_session {
	struct kv_txn *txn;   /* of several calls; NULL: none has begun */
	uint64_t began_ns;    /* that one */
	bool aged;            /* it was open for too long, and was dropped */
	int failed;           /* a call of it that nobody waited for has */
	bool explicit;        /* the caller began it */
	bool renewed;         /* another one has ended in this request */
	unsigned int flights; /* calls and orders that wait */
	uint32_t durability;  /* that was asked for */
	bool asked;
	struct kv_assembly *assembly; /* a value that comes in parts */
};

void kv_assembly_drop(struct kv_assembly *assembly); /* call_part.c; NULL is fine */

struct kv_session *kv_session_of(uint32_t channel);

/* The calls that follow are one transaction until it is committed or rolled back. -EALREADY: they
 * are already. */
int kv_session_begin(uint32_t channel);
/* Commit what the transaction has so far; the next call begins another one. The call is held and
 * answered when that is over: MF_STORAGE_LATER, or 0 (there was nothing), or an errno. */
int kv_session_commit(struct mf_storage_call *call);
/* Make a call that nobody waits for: where it fails, the transaction does. */
void kv_session_post(struct mf_storage_call *call, const struct kv_function *function);
/* Forget it; the next call begins another one. */
void kv_session_rollback(uint32_t channel);

/* How the transaction is to be kept, or, where each call is one, what follows. */
void kv_session_ask(uint32_t channel, uint32_t durability);

struct kv_session_stats {
	uint64_t conflicts;
	uint64_t rollbacks;
	uint64_t open; /* transactions of several calls */
	uint64_t aged; /* of them, that were dropped for their age */
};
const struct kv_session_stats *kv_session_stats(void);

#endif
