/** Where in its life a stream is, how it ended, and what it shares with the others of its node. */

/** Bytes that all streams of one node hold together. */
export interface Budget {
  usedBytes: number
}

export interface StreamShared {
  readonly maxSegment: number // largest payload that we take in one packet, bytes
  readonly receiveBudget: Budget // received and unread
  readonly sendBudget: Budget // written and not acknowledged
}

export type StreamPhase = 'syn-sent' | 'syn-received' | 'established' | 'time-wait' | 'resetting' | 'closed'

/** How a stream ended. `finished`: both directions ended in order; everything else is an abnormal end. */
export type StreamEnd =
  | 'finished'
  | 'refused' // RST instead of a SYN-ACK
  | 'stale' // answered from an older life of the same ports: dial again from another port
  | 'no_answer' // SYN unanswered
  | 'reset_by_peer'
  | 'truncated' // the peer ended before all it sent had arrived, or before all of ours was taken
  | 'timed_out' // nothing acknowledged for GIVE_UP_MS
  | 'peer_gone' // the tunnel is dead
  | 'relay_only' // it refuses the relay, and has something to say while only the relay works
  | 'local' // the application let go of it
