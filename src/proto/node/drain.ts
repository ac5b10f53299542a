/**
 * Drains the results of a turn of the core, in a fixed order. The driver, the rehearsal and the simulator all use this
 * function, so production runs the tested code.
 */
import type { Instant } from '../../base/types.ts'
import type { OverlayCore } from './core.ts'
import type { DatagramSlot } from './datagram-slot.ts'
import type { NodeEvent } from './events.ts'

/** The outside of the core. */
export interface Outside {
  /** Datagrams that wait below: from MAX_BACKLOG up, no more are created. */
  readonly backlog: number
  /** Seals what has a key and sends, in order, the first `count`. May swap their buffers. */
  send(batch: readonly DatagramSlot[], count: number): void
  /** May call the core: its next drain follows immediately. */
  onEvent(event: NodeEvent): void
  sendRegistry(message: object): void
  /** A TCP connection to the rendezvous is wanted, or no longer. Called each turn. */
  holdLink(isWanted: boolean): void
  /** The connection has stopped answering: replace it. */
  dropRegistry(): void
}

/** `more`: drain again in the next turn. `blocked`: drain again when the backlog has had time to shrink. */
export type Drained = 'idle' | 'more' | 'blocked'

/**
 * 1. News of streams, for the application's objects, and then events, until there are neither. Reading opens windows and
 *    writing carries acknowledgements, so this comes before datagrams.
 * 2. Segments that were held for more bytes to fill them.
 * 3. Datagrams, at most MAX_DATAGRAMS_PER_TURN: acknowledgements must be read while a burst goes out.
 * 4. Questions to the registry; whether a TCP connection is wanted.
 *
 * After it the caller arms one timer, for `core.nextTimeout()`.
 * @param batch slots to fill, reused; as many as are worth one call to `send`.
 */
export function drain(core: OverlayCore, outside: Outside, batch: readonly DatagramSlot[], now: Instant): Drained {
  report(core, outside, now)
  const isHeld = core.releaseHeld(now)
  const room = send(core, outside, batch, now)
  for (let request = core.pollRegistryRequest(); request !== undefined; request = core.pollRegistryRequest())
    outside.sendRegistry(request)
  outside.holdLink(core.link.way.wantsLink)
  if (core.registryStale) outside.dropRegistry()
  if (outside.backlog >= MAX_BACKLOG) return 'blocked'
  return room === 0 || isHeld || core.hasNews ? 'more' : 'idle'
}

function report(core: OverlayCore, outside: Outside, now: Instant): void {
  for (;;) {
    const stream = core.pollStream(now)
    if (stream !== undefined) {
      const news = stream.takeNews()
      stream.app?.onNews(stream, news)
      continue
    }
    const event = core.pollEvent(now)
    if (event === undefined) return
    outside.onEvent(event)
  }
}

/** @returns how many more datagrams this turn could have sent: 0 if there may be more to send. */
function send(core: OverlayCore, outside: Outside, batch: readonly DatagramSlot[], now: Instant): number {
  let room = MAX_DATAGRAMS_PER_TURN
  while (room > 0 && outside.backlog < MAX_BACKLOG) {
    let count = 0
    while (count < batch.length && core.pollDatagram(now, batch[count]!)) count += 1
    if (count === 0) break
    outside.send(batch, count)
    room = Math.max(0, room - count)
  }
  return room
}

/** Then the event loop gets a turn. */
const MAX_DATAGRAMS_PER_TURN = 128
/** Datagrams that may wait for the kernel, each in its own buffer: untaken ones are pinned memory. */
const MAX_BACKLOG = 64
