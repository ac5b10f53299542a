/** Numbers of the beacon; tunnel.md §7.1 [R] and our own limits, with what happens there. */
export const ENTRY_LIVES_MS = 180_000 // not heard for longer: forgotten
export const TAKEOVER_SILENCE_MS = 3_000 // an id moves to a new address only after the old one was silent this long
export const UNKNOWN_TAKEOVER_SILENCE_MS = 60_000 // to one that the registry does not vouch for, from one that it does: two heartbeats missed
export const MAX_ENTRIES = 200_000 // node ids: a new one is refused (and counted), known ones stay
export const PUNCH_BURST = 20 // punch requests per source address: more are dropped and counted
export const PUNCHES_PER_MINUTE = 600
export const MAX_SYNC_IDS = 16_370 // what one UDP datagram holds; the rest is not announced
export const ANNOUNCE_EVERY_MS = 10_000
