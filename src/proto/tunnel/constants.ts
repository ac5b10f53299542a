/** Numbers of the tunnel machine (tunnel.md §3.3, §5). */

/** Pauses between our PILA while no sealed frame of the peer has arrived, ms; the last one repeats. */
export const AUTH_RETRY_MS: readonly number[] = [150, 300, 500, 1_000, 2_000]
/** Least pause between PILA that punches of the peer cause, ms: anybody can send those. */
export const NUDGE_MS = 20
/** An exchange that is still unanswered then has failed; whoever waits for it is told. */
export const HANDSHAKE_LIMIT_MS = 4_000
/**
 * A peer from which nothing comes that our keys open is shown a fresh key after this many PILA (§5 rule 3). Its answer may
 * have been lost, and a Go peer answers each key only once (§4.1, the deadlock Q-T1).
 */
export const FRESH_KEY_AFTER_ATTEMPTS = 4
/** Answers to PILA whose key we know already: the peer may have lost the last one, but two nodes must not answer for ever. */
export const REPEAT_ANSWER_MS = 100
export const REPEAT_ANSWERS = 10
/** After new keys, frames under the old ones may still arrive for this long, ms. */
export const GRACE_MS = 10_000
/** Keys that a PILA announced but no sealed frame confirmed are forgotten, ms: the PILA may have been an old one, replayed. */
export const CANDIDATE_MS = 10_000
/** Least pause between announced keys while the ones in use work, ms: each costs an X25519 exchange, and old PILA can be replayed. */
export const CANDIDATE_PAUSE_MS = 1_000
/** Keys of the peer that newer ones have replaced. No node goes back to an old key: a PILA with one of these is a replay. */
export const RETIRED_KEYS = 16
/** Keys of a peer that sessions are kept for under one key of ours; then ours is drawn anew. */
export const SESSIONS_PER_KEY = 8
/** Least pause between fresh keys of ours for one peer, ms: it must have time to answer the last one. */
export const FRESH_KEY_PAUSE_MS = 2_000
/** Replay window, frames, and nonce prefixes followed under one key (§3.3). */
export const REPLAY_SLOTS = 2_048
export const MAX_PREFIXES = 64
/**
 * Keys between two pilotgates are replaced once they are this old, ms, and something is sent: who takes them later reads no
 * more than this. As WireGuard does.
 */
export const REKEY_MS = 120_000
/** The end with the higher node id waits this much longer, ms, so that only one of them begins. */
export const REKEY_TURN_MS = 10_000
/** High half of the nonce counter at which keys are replaced whatever their age: 2^32 frames, and 2^48 of a peer of another make. */
export const REKEY_COUNTER_HIGH = 1
export const PLAIN_REKEY_COUNTER_HIGH = 0x1_0000
