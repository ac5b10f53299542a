/** Well-known overlay ports that more than one layer uses. */

/** Echoes every byte; every daemon answers there (services.md §1). */
export const ECHO_PORT = 7

/** Messages and files (services.md §6). An agent answers by dialling this port of the node that dialled its own. */
export const DATA_PORT = 1_001

/** Events by topic (services.md §7). */
export const EVENT_PORT = 1_002

/** A byte stream by convention (services.md §5): what `nc` dials without a port. */
export const STDIO_PORT = 1_000
