/** The services that every node of the field offers: echo and data exchange. */
import type { Logger } from '../runtime/log.ts'
import type { Overlay } from '../runtime/overlay.ts'
import type { Received } from './data-exchange.ts'
import { DATA_PORT, serveDataExchange } from './data-exchange.ts'
import { ECHO_PORT, serveEcho } from './echo.ts'
import { Inbox } from './inbox.ts'

/**
 * @param stateDir what peers send is kept below it, in `inbox` and `received`.
 * @param taken ports that the operator wants for services of his own.
 */
export async function serveWellKnown (node: Overlay, { stateDir, taken }: { readonly stateDir: string, readonly taken: readonly number[] }, log: Logger, onReceived: (received: Received) => void): Promise<void> {
  if (!taken.includes(ECHO_PORT)) await serveEcho(node)
  if (!taken.includes(DATA_PORT)) await serveDataExchange(node, new Inbox(stateDir), log, onReceived)
}
