/** Constants of our dealings with registry and beacon (registry.md §3, tunnel.md §7). */

export const HEARTBEAT_MS = 30_000 // the registry forgets a node after three minutes
export const REGISTER_RETRY_MS: readonly number[] = [500, 1_000, 2_000, 5_000, 10_000]
/** A request without an answer for this long has failed, and the connection counts as dead. */
export const REQUEST_TIMEOUT_MS = 8_000
/** Requests pending or waiting; further ones fail immediately. */
export const MAX_REQUESTS = 4_096
/**
 * Pauses between discover messages before the first answer, ms; then one per interval, which also preserves the NAT
 * mapping.
 */
export const DISCOVER_RETRY_MS: readonly number[] = [150, 300, 600, 1_000, 5_000]
export const DISCOVER_INTERVAL_MS = 20_000
/** With a new id, or from a new endpoint, the beacon is asked again after this long, ms. */
export const DISCOVER_SETTLE_MS = 3_500
/** Minimum pause between discovers that silent peers cause, ms: many may fall silent at once. */
export const REFRESH_PAUSE_MS = 1_000
/** Unanswered questions after which the beacon counts as gone, or as moved: single datagrams get lost. */
export const SILENT_AFTER = 3
/** Unanswered questions after which UDP to the beacon counts as blocked, and TCP is tried: within two seconds. */
export const GIVE_UP_UDP_AFTER = 4
/** While TCP is in use, UDP is asked this often, ms; */
export const STANDBY_ASK_MS = 1_500
/** unanswered questions in a row show that it does not pass after all; */
export const UDP_DOUBTED_AFTER = 3
/** and it must answer for this long before it is used again, ms: twice as long after each relapse, up to the maximum. */
export const UDP_PROOF_MS = 3_000
export const MAX_UDP_PROOF_MS = 60_000
/** UDP that is lost sooner after its return than this has relapsed, ms. */
export const UDP_LASTING_MS = 60_000
/** How long registration waits for the beacon to report our endpoint, ms: a silent beacon must not block a node. */
export const DISCOVER_PATIENCE_MS = 600
/** Pauses after the requests of a NAT probe, ms: each may be lost, and so may its answer. */
export const NAT_PROBE_MS: readonly number[] = [250, 350, 600]
/** While no beacon answers at all, the probe restarts after this pause, ms. */
export const NAT_PROBE_PATIENCE_MS = 5_000
