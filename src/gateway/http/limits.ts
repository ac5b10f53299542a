/** Limits of HTTP connections. docs/limits.md says what happens at each. */

/** Header section of one message, bytes. Node's default: cookies and tokens fit, a flood does not. */
export const MAX_HEADER_BYTES = 16_384
/** Header fields of one message; Node's default for HTTP/1 is 2000, which no one needs. */
export const MAX_HEADERS = 256

/**
 * How long a connection of a client or a peer may idle between requests, ms. Longer than most clients need (Chromium
 * keeps 300 s, but retries on its own).
 */
export const KEEP_ALIVE_MS = 75_000
/** How often at most a request without a body is sent when kept connections turn out to be closed. */
export const MAX_ATTEMPTS = 3

/** Flow-control window of each HTTP/2 stream, bytes. The default of 64 KiB carries 640 KB/s over 100 ms. */
export const WINDOW_BYTES = 1 << 20
/** The same for a whole HTTP/2 connection. */
export const CONNECTION_WINDOW_BYTES = 16 << 20
/** Streams that a client may have open on one HTTP/2 connection. */
export const MAX_STREAMS = 1_000
/** What Node keeps for one HTTP/2 connection, MB; its default of 10 refuses streams that slow readers delay. */
export const SESSION_MEMORY_MB = 64

/**
 * Time for a client to show its HTTP version, and to finish the head of each HTTP/1.1 request, ms. Browsers open spare
 * connections and close them unused.
 */
export const HEAD_MS = 60_000
/** How often overdue heads are checked for, ms. */
export const HEAD_CHECK_MS = 10_000
