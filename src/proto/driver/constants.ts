/** Limits of one client of the driver socket. */

/** Requests that wait for their answers; beyond, nothing more is read from the client. As in daemons. */
export const MAX_REQUESTS = 1_024
/** Streams of one client; beyond, dials are answered with an error and incoming streams refused. As in daemons. */
export const MAX_CONNECTIONS = 4_096
/** Answers and events that the client has not read; beyond, nothing more is read from it, and datagrams are dropped. */
export const MAX_OUT_BYTES = 1_048_576
/**
 * Bytes of Sends that a stream has not taken: one of the largest messages, and more while it is underway. Beyond, nothing
 * more is read from the client, as nothing else could slow it down.
 */
export const MAX_HELD_BYTES = 2_097_152
/** A stream that takes nothing for this long is ended, if it keeps the client's other streams waiting, ms. */
export const STALLED_MS = 10_000
/** A client that reads nothing for this long is disconnected, ms. As in daemons. */
export const UNREAD_MS = 10_000
/**
 * How long a client may still send on a stream that its peer has ended, since it last did, ms. Daemons end both directions
 * at once, so drivers do not expect more.
 */
export const LINGER_MS = 30_000
/** Data in one Recv: what drivers have buffers for. */
export const MAX_RECV_BYTES = 65_536
