/** Numbers of the path machine. */

/** Ways to one peer that are remembered; the least useful unproven one gives way. */
export const MAX_CANDIDATES = 8
/** A probe is unanswered after this long at least, ms, or four round trips. */
export const PROBE_TIMEOUT_MS = 1_000
/** Unanswered probes in a row after which a path counts as dead until something arrives on it. */
export const PROBE_FAILURES = 2
/** The current path is silent for this long while frames come along another: the peer has moved, and is followed. */
export const FOLLOW_MS = 1_000
/** Pauses between probes of a better path while a worse one works, ms; the last one repeats. */
export const UPGRADE_PROBE_MS: readonly number[] = [500, 1_000, 2_000, 5_000, 15_000, 30_000]
/** Unproven candidates are not tried again after this many probes, until somebody names them anew. */
export const MAX_CANDIDATE_PROBES = 6

/** Payload of a stream packet that any path carries (extensions.md): with all headers below 1280 bytes of IPv6. */
export const BASE_PAYLOAD_BYTES = 1_152
/** Overlay header 34, sealed frame 36, relay header 9: what stands around a payload in a datagram. */
export const DATAGRAM_OVERHEAD_BYTES = 79
/** Payload sizes tried below what the local interface carries, from the largest. */
export const PAYLOAD_LADDER: readonly number[] = [61_440, 32_768, 16_384, 8_900, 4_096, 1_393]
/** RFC 8899 §5.1.1 PMTU_RAISE_TIMER: a size that did not arrive is not tried again on that path before, ms. */
export const RAISE_AGAIN_MS = 600_000
