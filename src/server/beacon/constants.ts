/** Constants of the beacon: tunnel.md §7.1 [R], and our own limits with their consequences. */
export const ENTRY_LIVES_MS = 180_000 // silent for longer: forgotten
export const TAKEOVER_SILENCE_MS = 3_000 // an id moves to a new address only after the old one was silent this long
export const UNKNOWN_TAKEOVER_SILENCE_MS = 60_000 // from a confirmed address to an unconfirmed one: two heartbeats missed
export const MAX_ENTRIES = 200_000 // node ids: a confirmed id replaces an unconfirmed one; otherwise refused and counted
export const MAX_UNPROVEN_PER_SOURCE = 1_024 // unconfirmed ids that one source claims: further ones are refused, loopback exempt
export const PUNCH_BURST = 20 // punch requests per source address: more are dropped and counted
export const PUNCHES_PER_MINUTE = 600
/** Between notices of mail to one node, ms: a daemon polls no sooner again. */
export const NOTICE_PAUSE_MS = 2_000
export const MAX_SYNC_IDS = 16_370 // what one UDP datagram holds; the rest is not announced
export const ANNOUNCE_EVERY_MS = 10_000
/** Relaying, for each source (a node's public endpoint). Beyond these datagrams are dropped and counted. */
export const RELAY_BYTES_PER_SECOND = 50_000_000 // 400 Mbit/s: more than a typical link, and half of what one core relays
export const RELAY_BURST_BYTES = 8_000_000
export const RELAY_QUEUE_BYTES = 512 * 1024 // 10 ms of the above: more would only add delay
export const RELAY_TOTAL_BYTES = 32 * 1024 * 1024
export const RELAY_QUANTUM_BYTES = 4_096 // a turn
export const MAX_RELAY_SOURCES = 100_000 // remembered, 200 bytes each; idle ones are forgotten every minute
/** Sent in one turn of the event loop; then incoming datagrams are read. */
export const RELAYS_PER_TURN = 64
