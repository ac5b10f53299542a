/** Overlay ports with a meaning of their own, as far as more than one layer uses them. */

/** Every byte comes back; every daemon answers there (services.md §1). */
export const ECHO_PORT = 7
