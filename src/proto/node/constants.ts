/** Numbers of the node: peers, liveness, limits. */

// Liveness of a peer. Users see the sum: the streams of a vanished peer end within KEEPALIVE_MS + PEER_DEAD_MS.
/** A peer with open streams that has been silent for this long is pinged, ms; it also holds NAT mappings open. */
export const KEEPALIVE_MS = 15_000
/**
 * After bytes arrived, and then nothing for this long: one ping, ms. If our address has changed, the ping tells the
 * peer.
 */
export const TAIL_PING_MS = 2_000
/** No answer to something we sent for this long, or for four round trips: ping on every path, ms. */
export const QUIET_MS = 1_000
/**
 * Upper bound of the above: every path has been tried before the peer counts as silent, whatever round trip was
 * measured.
 */
export const MAX_QUIET_MS = 2_000
export const PING_REPEAT_MS = 1_000
/**
 * The number of PILA that take only direct paths, to a peer that may be a Go daemon: 0.95 s. Such a peer answers after
 * asking its registry, and stays on the relay until it restarts if anything reaches it there first (tunnel.md §6.4).
 */
export const DIRECT_ATTEMPTS = 3
/**
 * A peer that is not known to be a pilotgate is sought through the relay only after this long, ms: a Go daemon may
 * stall for seconds.
 */
export const PLAIN_RELAY_MS = 3_000
/** No answer for this long: new connections to the peer fail immediately, ms. */
export const PEER_SILENT_MS = 4_000
/** No answer for this long: the peer counts as gone and its streams are reset, ms. */
export const PEER_DEAD_MS = 15_000
/** How often the registry is asked where a silent peer is, ms: it may have restarted elsewhere. */
export const RESOLVE_AGAIN_MS = 2_000
/** After a failed attempt, further dials fail immediately for this long, ms, instead of each waiting again. */
export const UNREACHABLE_MS = 1_000
/**
 * A peer without streams that was not heard from for this long is forgotten, ms. Trusted ones keep their record in the
 * book.
 */
export const FORGET_PEER_MS = 600_000

// Better paths
/** How long a better path than the relay is sought after a tunnel came up, ms, even without an open stream. */
export const SEARCH_MS = 10_000
/** A path hello without an echo is repeated after these pauses, ms. */
export const HELLO_AGAIN_MS: readonly number[] = [300, 700, 2_000]
/**
 * A punch from the peer makes us ping along that path immediately, but no more often than this, ms: it is not
 * authenticated.
 */
export const PUNCHED_PING_MS = 50

/** A stream without acknowledgements makes us probe the path, but no more often than this, ms. */
export const STALL_PING_MS = 500

/** The beacon is asked to have both sides punch, but not more often than this for one peer, ms. */
export const KNOCK_MS = 100

/** How often streams that refuse the relay are rechecked while only the relay works, ms. */
export const STRICT_AGAIN_MS = 1_000
/**
 * Delay after a tunnel came up before non-direct paths and larger packets are tried, ms: the SYN that waited for it,
 * and its answer, go first.
 */
export const SEARCH_AFTER_MS = 20

// Names
export const NAME_CACHE_MS = 30_000
/**
 * For this long after that, ms, a name still means the same node if it was heard recently, while the registry is asked
 * again.
 */
export const NAME_STALE_MS = 300_000
/** "Recently", ms: a registry reassigns a name only after three minutes of silence. */
export const NAME_HEARD_MS = 120_000
export const MAX_NAMES = 4_096 // the oldest is evicted
export const MAX_DIALS = 8_192 // waiting for a name, a tunnel or a SYN token; further ones fail as TOO_MANY

/**
 * Number of expected peers that are looked up in advance: all nodes behind one address share the registry's rate limit.
 */
export const MAX_PREPARED = 32

// Trust
export const POLL_FAST_MS = 250 // while a request of ours is young
export const POLL_FAST_FOR_MS = 20_000
export const POLL_WAITING_MS = 1_500 // while one is older, up to POLL_WAITING_FOR_MS
export const POLL_WAITING_FOR_MS = 600_000
export const POLL_GUESTS_MS = 500 // while an invited guest may ask
export const POLL_IDLE_MS = 5_000
export const POLL_NOTIFIED_MS = 60_000 // where the registry tells us: only in case a notice was lost
/** For this long, repetitions of a request that a person has just rejected get the same answer, ms: they crossed it. */
export const REJECTED_FOR_MS = 30_000
export const REPORT_AGAIN_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 30_000] // the other node may not be registered yet
export const REQUEST_AGAIN_MS: readonly number[] = [1_000, 1_500, 2_000, 3_000, 5_000, 15_000] // the peer may not be registered yet

/** A trust request that was not repeated for this long is forgotten, ms: a running node repeats it within a minute. */
export const PENDING_FOR_MS = 30 * 86_400_000
/**
 * A hostname that the registry refuses is requested again after this long, ms: its holder may leave or rename itself.
 */
export const HOSTNAME_AGAIN_MS = 60_000

/** A network of the registry that refuses us is asked again after this long, ms. */
export const JOIN_AGAIN_MS = 60_000

/**
 * Streams of a tunnel take turns of this many bytes: a dozen segments on Ethernet, one on loopback. The peer gets the
 * segments of one stream together and acknowledges them once; with turns of one segment, sixteen streams would cost it
 * almost one acknowledgement per segment.
 */
export const STREAM_TURN_BYTES = 16_384
/** The minimum that a packet counts for, bytes: its cost does not depend on how little is in it. */
export const STREAM_TURN_PACKET_BYTES = 1_024

// Limits
export const MAX_PEERS = 65_536
export const MAX_STREAMS = 65_536
export const MAX_STREAMS_PER_PEER = 32_768 // two per ephemeral port: ended streams stay a few seconds
export const MAX_CONTROL_PER_PEER = 64 // pongs and RSTs waiting; further ones are dropped, and the peer asks again
/** Datagrams of programs waiting for their turn: enough for a burst; further ones are dropped and counted. */
export const MAX_DATAGRAMS_PER_PEER = 1_024
export const MAX_PINGS = 4_096
/** A daemon of today takes an empty ping for a keepalive, and does not answer it (quirk T12). */
export const PING_BYTES = 4
export const PING_EXPIRY_MS = 30_000
/** PILA of nodes whose key we do not know yet, kept while the registry is asked. */
export const MAX_STRANGERS = 64
/** Questions to the registry per second that others' frames can cause; it grants us 500 a minute for everything. */
export const LOOK_UPS_PER_SECOND = 5
/** Signature checks per second that others can cause; a check costs about 0.15 ms. */
export const AUTH_CHECKS_PER_SECOND = 500
/**
 * And the part of those that one address can cause: a hundred nodes behind one NAT that restart together get through in
 * two seconds.
 */
export const AUTH_CHECKS_PER_SOURCE = 50
/** RST per second in answer to packets of streams that do not exist, SYNs apart. */
export const RST_PER_SECOND = 2_000
/** Time from a SYN to its refusal, ms. Checking an access list takes a fraction of one. */
export const REFUSAL_MS = 5
/** Refusals that wait for it: more than one peer can cause within that time. Further ones are not sent, whatever the port. */
export const MAX_REFUSALS = 32_768
/**
 * SYNs of one peer: more than a core can serve, and as many at once as it may have streams to a port. Further ones are dropped
 * before anyone looks at the port, and the peer repeats them.
 */
export const SYN_FROM_PEER_PER_SECOND = 2_500
export const SYN_FROM_PEER_BURST = 16_384
/** SYNs to a peer that has not shown to be one of us: what a Go peer admits (stream.md Q12). */
export const SYN_BURST = 10
export const TODAY_SYN_BURST = 60 // of the 64 that a daemon of today admits: its own clock may differ a little
export const SYN_PER_SECOND = 9 // one less than it grants: two SYNs may arrive closer together than they were sent
/** Delay of the next SYN to a peer whose queue of connections is full, ms (stream.md Q23). */
export const BUSY_PAUSE_MS = 250
/** Dials that met the remains of an older stream on their ports are repeated from others. */
export const MAX_REDIALS = 3

export const EPHEMERAL_FIRST = 49_152
export const EPHEMERAL_COUNT = 16_384
/**
 * The ports of an ended stream may be reused after this long, ms, if all others are in use, as in Linux (tcp_tw_reuse).
 */
export const REUSE_AFTER_MS = 1_000
/** Overlay port of trust messages (trust.md §3). */
export const HANDSHAKE_PORT = 444
/** After we dialled the data exchange of a node, it may dial ours for this long, ms, as with the daemons (quirk Q28). */
export const REPLY_WINDOW_MS = 300_000
/** Source port of pings. Never 0: two Go daemons would answer each other forever (addressing §5). */
export const PING_PORT = 1
/**
 * Packets through a beacon that is not ours: it drops what exceeds 4,000 in a second from one address, and its seconds are
 * fixed: rate and burst together stay below that. Those that wait are looked at after this pause, ms.
 */
export const FOREIGN_RELAY_PER_SECOND = 3_500
export const FOREIGN_RELAY_BURST = 350
export const FOREIGN_RELAY_PAUSE_MS = 10
/**
 * Towards a daemon of today, which ends a session over a frame 256 behind the newest (quirk T16): frames through the relay
 * in half a round trip, so that at most twice as many are underway, and frames on another path before they have arrived.
 */
export const FRAMES_RELAYED = 90
export const FRAMES_AHEAD = 40
/** Of a relay that was not measured yet, ms. */
export const RELAY_RTT_MS = 200
/** Punch commands of the beacon that are obeyed, per second. */
export const PUNCHES_PER_SECOND = 20
/** Notices of mail that make us poll, per second, and at once; others wait for the next poll. As with the daemons. */
export const NOTICES_PER_SECOND = 0.2
export const NOTICE_BURST = 3
/** Punches of peers that are processed, per second: anyone can send them. */
export const PUNCHED_PER_SECOND = 100

/** Bits of `Peer.takeChores()`: the node's work for the peer, done by chores.ts. */
export const PEER_RESOLVE = 1 // ask the registry where it is
export const PEER_SILENT = 2 // fail what waits for it
export const PEER_DEAD = 4 // end its streams, forget its keys
export const PEER_KEEPALIVE = 8 // ping along the current path
export const PEER_SEARCH = 16 // ping along every path
export const PEER_FORGET = 32
export const PEER_LEAVE = 64 // trust has ended; its streams have been reset
/** A running registry has registered us by then. We do not wait for one whose port is closed. */
export const RESUME_MS = 2_000
/** How long the keys outlive revoked trust, ms: enough for the RSTs to leave. */
export const LEAVE_MS = 100
