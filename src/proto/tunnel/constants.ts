/** Constants of the tunnel machine (tunnel.md §3.3, §5). */

/** Pauses between our PILA until a sealed frame of the peer has arrived, ms; the last one repeats. */
export const AUTH_RETRY_MS: readonly number[] = [150, 300, 500, 1_000, 2_000]
/** Minimum pause between PILA triggered by the peer's punches, ms: anyone can send those. */
export const NUDGE_MS = 20
/** An exchange that is still unanswered by then has failed, and its waiters are notified. */
export const HANDSHAKE_LIMIT_MS = 4_000
/**
 * A peer whose frames our keys do not open gets a fresh key after this many PILA (§5 rule 3). Its answer may have been
 * lost, and a Go peer answers each key only once (§4.1, the deadlock Q-T1).
 */
export const FRESH_KEY_AFTER_ATTEMPTS = 4
/**
 * Answers to PILA with an already known key: the peer may have missed the last one, but two nodes must not answer each
 * other forever.
 */
export const REPEAT_ANSWER_MS = 100
export const REPEAT_ANSWERS = 10
/** Minimum pause between answers to frames that no key opens and to PILK, ms: anyone who can send UDP can cause them. */
export const RARE_ANSWER_MS = 1_000
/**
 * A PILA with a known key from a peer that has sent nothing sealed for this long, ms: it has lost its half. What daemons
 * of today wait for.
 */
export const LOST_HALF_MS = 6_000
/** After new keys, frames under the old ones may still arrive for this long, ms. */
export const GRACE_MS = 10_000
/**
 * When keys announced by a PILA but not confirmed by a sealed frame are forgotten, ms: the PILA may be an old one,
 * replayed.
 */
export const CANDIDATE_MS = 10_000
/**
 * Minimum pause between announced keys while the current ones work, ms: each costs an X25519 exchange, and old PILA can
 * be replayed.
 */
export const CANDIDATE_PAUSE_MS = 1_000
/**
 * Remembered keys of the peer that newer ones have replaced. No node returns to an old key: a PILA with one of these is
 * a replay.
 */
export const RETIRED_KEYS = 16
/** Keys of a peer with sessions under one of our keys; beyond it, we generate a new key. */
export const SESSIONS_PER_KEY = 8
/** Minimum pause between our fresh keys for one peer, ms: it needs time to answer the last one. */
export const FRESH_KEY_PAUSE_MS = 2_000
/** Replay window, frames, and nonce prefixes followed under one key (§3.3). */
export const REPLAY_SLOTS = 2_048
export const MAX_PREFIXES = 64
/**
 * Keys between two pilotgates are replaced once they are this old, ms, and something is sent: an attacker who takes them
 * later can read no more than this. Like WireGuard.
 */
export const REKEY_MS = 120_000
/** The end with the higher node id waits this much longer, ms, so that only one of them begins. */
export const REKEY_TURN_MS = 10_000
/** High half of the nonce counter at which keys are replaced at any age: 2^32 frames; 2^48 towards a Go peer. */
export const REKEY_COUNTER_HIGH = 1
export const PLAIN_REKEY_COUNTER_HIGH = 0x1_0000
