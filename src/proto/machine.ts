/**
 * The contract of every protocol machine here. A machine has rules and no I/O: it reads no clock, holds no timer, opens
 * no socket, generates no randomness of its own, and logs nothing.
 *
 *   handle*  something happened: a packet, a command, a deadline. Carries `now`, which never goes back.
 *   poll*    the result: a packet to send, a fact to report. Polled until empty.
 *
 * Contract: ONE mutation (a handle call, or several of one batch), then drain every poll, then arm one timer for
 * `nextTimeout()`. node/drain.ts does it for the whole node. Early and repeated `handleTimeout` calls are harmless. A
 * machine calls nothing, so it is never re-entered.
 *
 * The per-packet machines (stream, tunnel, node) fill objects that the caller reuses instead of returning new ones: a
 * packet must not create garbage. Byte arrays given to handle* are owned by the machine from then on.
 */
import type { Instant } from '../base/types.ts'

export interface Machine {
  handleTimeout(now: Instant): void
  /** Infinity: nothing to wait for. */
  nextTimeout(): Instant
}
