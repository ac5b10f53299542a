/** Constants of the stream machine. First those from specifications, then our own choices with reasons. */

// RFC 6298, RFC 8985, RFC 9438
export const RTO_INITIAL_MS = 1_000 // RFC 6298 §2.1
export const RTO_MIN_MS = 200 // §2.4 asks for 1 s; 200 ms as in Linux: a peer of the reference delays ACKs by 40 ms at most
export const RTO_MAX_MS = 5_000 // §2.5 allows a cap >= 60 s; ours is lower so that a recovered path is used within 5 s
export const SYN_RTO_MS = 250 // Go drops SYNs silently when its bucket is empty: ask again early (stream.md Q12)
export const SYN_RTO_MAX_MS = 4_000
export const INITIAL_WINDOW_SEGMENTS = 10 // RFC 6928
export const INITIAL_WINDOW_BYTES = 14_600 // RFC 6928: min(10 MSS, max(2 MSS, 14600))
export const DUP_THRESHOLD = 3 // RFC 8985 §7.1 DupThresh
export const REORDER_STEPS = 16 // most quarters of the minimum RTT in the reordering window; it is bounded by SRTT anyway
export const CUBIC_C = 0.4 // RFC 9438 §5
export const CUBIC_BETA = 0.7 // RFC 9438 §4.6

// Acknowledgements
export const ACK_EVERY_SEGMENTS = 2 // RFC 9293 §3.8.6.3; checked at the end of a batch, so a burst costs one ACK
export const DELAYED_ACK_MS = 5 // a reply within this time carries the ACK with it
export const PEER_ACK_DELAY_MS = 40 // the longest that a Go peer waits; a tail-loss probe must allow for it

// Buffers. A stalled connection can hold the small number of each pair; the large one requires a peer that drains it.
/**
 * Received bytes a stream may hold for its reader: initially, and at most if the path needs it (twice what the reader
 * consumes in a round trip). The limit is that of the window field; 100 ms at 1.3 Gbit/s.
 */
export const RECEIVE_INITIAL_BYTES = 262_144
export const RECEIVE_LIMIT_BYTES = 65_535 * 256
/** Unread bytes of all streams of a node together, beyond which every stream gets only the initial window. */
export const RECEIVE_BUDGET_BYTES = 67_108_864
/** Lower bound for the round trip used here, ms: a local reader consumes bytes one turn of the event loop at a time. */
export const RECEIVE_ROUND_MIN_MS = 4
/** And if none was measured: between continents. */
export const RECEIVE_ROUND_UNKNOWN_MS = 100
/**
 * Written bytes a stream may hold unacknowledged: minimum and maximum; in between, twice the congestion window or
 * slightly more than the peer's window.
 */
export const SEND_INITIAL_BYTES = 262_144
export const PLAIN_SEND_LIMIT_BYTES = 2_097_152 // a Go peer of today accepts 512 segments of at most 4096 bytes
/** Unacknowledged bytes of all streams of a node together, beyond which each gets only the minimum. */
export const SEND_BUDGET_BYTES = 67_108_864
/** Units of the window field in packets that we send (WINDOW_BYTES option): 2^8 bytes, so 65535 of them are 16 MiB. */
export const WINDOW_SHIFT = 8
/**
 * Out-of-order segments kept: a full window on the smallest path. Further ones are dropped and retransmitted; a Go peer
 * keeps 128.
 */
export const OUT_OF_ORDER_SEGMENTS = 16_384
/**
 * Gaps between them; a segment that would open one more is dropped. Even losing half a window in a burst leaves fewer.
 */
export const MAX_GAPS = 512
/** Overhead of an out-of-order segment, counted in the budget: its list entry and views, about 0.5 KB. */
export const EARLY_SEGMENT_BYTES = 512
/**
 * Received segments smaller than this are passed to the reader together, up to this many bytes: about one read of a
 * local socket.
 */
export const GATHERED_BELOW_BYTES = 16_384
export const GATHERED_BYTES = 65_536
/** A window update is worth a packet when it opens by this share of the limit. */
export const WINDOW_UPDATE_SHARE = 4

// Segments
export const BASE_SEGMENT_BYTES = 1_152 // relay + IPv6 + 1280-byte MTU (extensions.md)
export const PLAIN_MAX_SEGMENT_BYTES = 4_096 // a peer without options
export const MIN_SEGMENT_BYTES = 536 // RFC 9293 §3.7.1; a peer that requests less gets this (CVE-2019-11479)
export const OWN_MAX_SEGMENT_BYTES = 61_440 // with headers, tunnel and relay wrapping still below the UDP limit of 65507
export const PLAIN_SLOT_BYTES = 4_096 // one slot of a peer without WINDOW_BYTES may hold this much
export const PLAIN_MAX_SLOTS = 512
export const PLAIN_FLIGHT_SEGMENTS = 128 // a Go peer stores no more out of order (stream.md Q8)
/**
 * A daemon of today (quirk Q25): what a slot of a window holds, either way, and how many segments may be in flight. It
 * still keeps only 128 out of order: after a loss no more than those, until so many bytes have arrived without another.
 */
export const TODAY_SLOT_BYTES = 1_152
export const TODAY_FLIGHT_SEGMENTS = 512
export const TODAY_CALM_BYTES = 2_097_152
export const TODAY_MAX_SLOTS = 0xffff // the window field; it multiplies by the above, without a limit of its own

// Endings
/** Transmissions of SYN or SYN-ACK. 0.25 s doubling to 4 s: the seventh is 11.75 s after the first. */
export const SYN_TRANSMISSIONS = 8
/** Without any acknowledgement of outstanding data for this long, and this many timeouts, the stream is reset. */
export const GIVE_UP_MS = 30_000
export const GIVE_UP_TIMEOUTS = 6
/** How long an ended stream answers a repeated FIN. Longer than a sender's backoff after one lost ACK. */
export const TIME_WAIT_MS = 5_000
/** A RST is never acknowledged, so it is repeated, ms after the first. */
export const RST_REPEAT_MS: readonly number[] = [250, 1_000, 4_000, 15_000]
/** Pauses between repetitions of an unanswered FIN towards a peer without HALF_CLOSE, before giving up. */
export const PLAIN_FIN_TRANSMISSIONS = 6
/** How long a half-close towards a peer without it is held until the other direction ends. */
export const HELD_FIN_MS = 600_000
/** Probes of a closed window: first and longest pause. */
export const PERSIST_MIN_MS = 100
export const PERSIST_MAX_MS = 5_000
/** Probes whether the peer still knows a stream: first and longest pause, and how many before it counts as gone. */
/**
 * An accepted stream that has received nothing for this long probes whether its dialler still knows it: every RST may
 * have been lost.
 */
export const IDLE_VERIFY_MS = 600_000
/** Pause between such probes of one peer's streams after an outage, ms: ten thousand must not probe at once. */
export const VERIFY_SPREAD_MS = 2
export const VERIFY_MIN_MS = 250
export const VERIFY_MAX_MS = 4_000
export const VERIFY_TRANSMISSIONS = 6
/**
 * A Go peer closes streams that are silent for two minutes; an empty ACK at this interval prevents that (stream.md
 * Q19).
 */
export const PLAIN_KEEPALIVE_MS = 25_000
/** How long at most an ACK may be withheld to slow down a Go sender whose data is not read (stream.md §7.2). */
export const PLAIN_STALL_ACK_MS = 500
