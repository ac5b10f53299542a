/** Constants of the registry: first those of the protocol (registry.md), then our own limits and their consequences. */

// ---- protocol

export const PROTOCOL_VERSION = 1
export const REAP_AFTER_MS = 180_000 // §3.3: silent for longer, a node is removed when its turn comes
export const REAP_EVERY_MS = 60_000 // §3.3
export const BEACON_LIVES_MS = 60_000 // §7
export const MAX_WAITING_REQUESTS = 100 // §5, per target: refuse, "too many"
export const MAX_HOSTNAME_CHARS = 63 // §3.7: refuse, "too long"
export const MAX_TAGS = 10 // §3.7: refuse, "too many"
export const MAX_TAG_CHARS = 32 // §3.7: refuse, "too long"
export const PUBLIC_KEY_BYTES = 32
export const MAX_SCORE = 1_000_000 // §3.8: refuse a larger one, clamp a sum
export const MAX_WAITING_INVITES = 100 // §6, per target: refuse, "too many"
export const INVITE_LIVES_MS = 30 * 86_400_000 // §6
export const MAX_NETWORK_ID = 65_535
export const MAX_POLICY_MEMBERS = 10_000 // §6
export const MAX_POLICY_PORTS = 100 // §6: refuse, "too many"
export const MAX_DESCRIPTION_CHARS = 256 // §6: refuse, "too long"
export const AUDIT_ENTRIES = 1_000 // §8: the oldest is overwritten
export const KEY_EXPIRY_WARNING_MS = 86_400_000 // §3.2
export const MAX_KEY_EXPIRY_YEARS = 10 // §3.7

// ---- ours

export const DAY_MS = 86_400_000
export const SWEEP_EVERY_MS = 1_000 // a slice each time: rounds.ts
/** Keys known at one time, about 300 bytes each: refuse, "too many". */
export const MAX_ACCOUNTS = 2_000_000
/** Of these, keys that never signed: refuse, "too many". Keys that can sign always find room. */
export const MAX_UNPROVEN_ACCOUNTS = 125_000
/** With more, an account without trust or networks is forgotten after a day: ids made up from many addresses do not stay. */
export const CROWDED_ACCOUNTS = 1_500_000
/** New keys from all sources together: refuse, "too many". A million real nodes may come at once within three hours. */
export const NEW_ACCOUNTS_PER_SECOND = 100
export const NEW_ACCOUNTS_BURST = 20_000
/** Of these, keys that do not sign: older programs only. */
export const NEW_UNPROVEN_PER_SECOND = 10
export const NEW_UNPROVEN_BURST = 2_000
/** A key that was silent for this long, without trust or networks, is forgotten. */
export const UNPROVEN_ACCOUNT_LIVES_MS = 604_800_000 // 7 days
export const PROVEN_ACCOUNT_LIVES_MS = 15_552_000_000 // 180 days
export const FORGET_EVERY_MS = 3_600_000
export const SWEEP_INVITES_EVERY_MS = 3_600_000 // they live for thirty days, and expired ones are never shown
/** How long a hostname stays reserved for the key that signed for it while its node is away. */
export const NAME_KEPT_MS = 2_592_000_000 // 30 days
export const MAX_OWNER_CHARS = 320 // the longest e-mail address; a longer owner counts as none
export const MAX_LAN_ENDPOINTS = 16 // later ones are dropped
export const MAX_TRUST_PER_NODE = 4_096 // peers that one node may declare trust in: refuse, "too many"
export const MAX_JUSTIFICATION_CHARS = 1_024 // it must also fit into one segment of a port-444 message: refuse, "too long"
export const MAX_ASKED_PER_NODE = 1_000 // polled, unanswered requests remembered per target: the oldest is forgotten
export const MAX_WAITING_RESPONSES = 100 // per requester, one per responder: refuse, "too many"
export const MAX_POLL_BYTES = 60_000 // a poll reply stays readable (64 KiB); the rest waits for the next poll
export const MAX_NETWORKS = 1_000 // at one time: refuse, "too many"
export const MAX_NETWORK_MEMBERS = 10_000 // whatever the policy: refuse
export const MAX_LIST_BYTES = 60_000 // of a reply with a list, so that it stays readable (64 KiB): the rest is left out
export const MAX_EXPR_POLICY_CHARS = 16_384 // refuse, "too long"; it must fit into a request of 64 KiB
export const MAX_EXTERNAL_ID_CHARS = 256 // refuse, "too long"
/** How far the clock of a node that dates its heartbeats may be off, s. */
export const MAX_HEARTBEAT_SKEW_S = 300
export const MAX_BEACONS = 64 // announced beacons: refuse, "too many"
export const MAX_BEACONS_PER_SOURCE = 4 // of one IPv4 address or IPv6 /64: refuse, "too many"
