/** Well-known overlay ports that more than one layer uses. */

/** Echoes every byte; every daemon answers there (services.md §1). */
export const ECHO_PORT = 7
