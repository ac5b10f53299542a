/** The phases of a stream, how it ended, and the budget it shares with the other streams of its node. */

import { OWN_MAX_SEGMENT_BYTES } from './constants.ts'

/** Bytes that all streams of one node hold together. */
export interface Budget {
  usedBytes: number
}

export interface StreamShared {
  readonly maxSegment: number // largest payload that we take in one packet, bytes
  readonly receiveBudget: Budget // received and unread
  readonly sendBudget: Budget // written and not acknowledged
}

/**
 * What is known of a plain peer, shared by all streams with it: proto/node learns it, and may correct it at any time.
 * Everything but these rules is safe with both releases.
 */
export interface PlainRules {
  /** A daemon of 1.10 or later: slots of 1,152 bytes, window 0 is a closed window. */
  isToday: boolean
}

export type StreamPhase = 'syn-sent' | 'syn-received' | 'established' | 'time-wait' | 'resetting' | 'closed'

/** How a stream ended. `finished`: both directions ended in order; anything else is an abnormal end. */
export type StreamEnd =
  | 'finished'
  | 'refused' // RST instead of a SYN-ACK
  | 'target_unreachable' // the same, with the reason: the service behind the port does not accept connections
  | 'stale' // answered by an older connection on the same ports: dial again from a different port
  | 'no_answer' // SYN unanswered
  | 'reset_by_peer'
  | 'truncated' // the peer ended before all its data had arrived, or before it accepted all of ours
  | 'timed_out' // nothing acknowledged for GIVE_UP_MS
  | 'peer_gone' // the tunnel is dead
  | 'relay_only' // it refuses the relay, and has data to send while only the relay works
  | 'local' // the application let go of it

/** Of a stream that is alone, in tests. */
export function sharedByOne(): StreamShared {
  return { maxSegment: OWN_MAX_SEGMENT_BYTES, receiveBudget: { usedBytes: 0 }, sendBudget: { usedBytes: 0 } }
}
