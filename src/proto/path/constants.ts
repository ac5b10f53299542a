/** Constants of the path machine. */

/** Paths to one peer that are remembered; the least useful unproven one is evicted. */
export const MAX_CANDIDATES = 8
/** A probe counts as unanswered after this long at least, ms, or four round trips. */
export const PROBE_TIMEOUT_MS = 1_000
/** And after this long at most, ms: a round trip measured while a process stalled says nothing about the path. */
export const MAX_PROBE_TIMEOUT_MS = 4_000
/** Unanswered probes in a row after which a path counts as dead until something arrives on it. */
export const PROBE_FAILURES = 2
/** The current path is silent for this long while frames come along another: the peer has moved, so we follow. */
export const FOLLOW_MS = 1_000
/**
 * Pauses between probes of a better path while a worse one works, ms; the last one repeats. The first ones coincide
 * with the punches.
 */
export const UPGRADE_PROBE_MS: readonly number[] = [60, 120, 250, 500, 1_000, 5_000, 15_000, 30_000]
/** Unproven candidates are not tried again after this many probes, until they are named again. */
export const MAX_CANDIDATE_PROBES = 7
/**
 * Until an answer came along a path, the multiple of the received bytes that may be sent along it, as in RFC 9000 §8:
 * the source of a frame can be forged. Plus this many bytes: one datagram, since ours may be the first.
 */
export const UNPROVEN_FACTOR = 3
export const UNPROVEN_FIRST_BYTES = 1_280

/** Pairs of a small and a large ping while segments are stuck: their pause, ms, and how many at most. */
export const SIZE_CHECK_PAUSE_MS = 250
export const SIZE_CHECK_PAIRS = 24
/** This many of one size answered, and none of the other: the path carries only that size. */
export const SIZE_CHECK_ANSWERS = 8
/** And this many of the lost size in a row have to be answered before it is used for data again. */
export const SIZE_PROOFS = 3
/** Pause between those, once one was answered, ms. */
export const SIZE_PROOF_PAUSE_MS = 200
/** The first of them leaves after UPGRADE_PROBE_MS of this index: what is broken is not whole a moment later. */
export const SIZE_PROBE_STEP = 4

/** A key exchange is answered along the path that it came by, for this long, ms. */
export const HINT_MS = 1_000
/** How many unnamed paths are tried immediately as they appear; after that, one per this many ms. */
export const NEWS_BURST = 8
export const NEWS_PAUSE_MS = 5_000

/**
 * Delays of punches after the command, ms: both sides' must overlap although their commands arrive at different times.
 */
export const PUNCH_AT_MS: readonly number[] = [0, 25, 75, 200, 500]
/** Endpoints punched at the same time; further commands are dropped, and the requester asks again. */
export const MAX_AIMS = 64
/** Pauses between punch requests to the beacon while only the relay works, ms; the last one repeats. */
export const PUNCH_ROUND_MS: readonly number[] = [400, 1_500, 4_000, 15_000, 60_000]

/** What the beacons of others admit from one address, ms, and a little more: two may arrive closer together. */
export const PUNCH_REQUEST_PAUSE_MS = 1_050
/** Requests that wait for that; further ones are dropped until their next round. */
export const MAX_PUNCH_REQUESTS = 1_024

/** Payload of a stream packet that any path carries (extensions.md): with all headers below 1280 bytes of IPv6. */
export const BASE_PAYLOAD_BYTES = 1_152
/** Overlay header 34, sealed frame 36, relay header 9: the overhead of a payload in a datagram. */
export const DATAGRAM_OVERHEAD_BYTES = 79
/**
 * Payload sizes tried above the base, within what the local interface carries: MTU 1400, 1452 and 1500 over IPv4, a
 * page, MTU 9000 over IPv6, and loopback sizes.
 */
export const PAYLOAD_LADDER: readonly number[] = [1_293, 1_345, 1_393, 4_096, 8_873, 16_384, 32_768, 61_440]
/**
 * RFC 8899 §5.1.1 PMTU_RAISE_TIMER is 600 s; Linux forgets a path MTU after the same time, and must have done so before
 * us.
 */
export const RAISE_AGAIN_MS = 660_000
/**
 * On loopback there is no fragmentation to remember: a probe that a starved process left unanswered is soon repeated.
 */
export const LOOPBACK_RAISE_MS = 10_000
