/** The services that every node of the field offers: echo and data exchange. An exposure on the same port goes first. */
import { PilotError } from '../base/errors.ts'
import type { Logger } from '../runtime/log.ts'
import type { DataExchangeNode, Received } from './data-exchange.ts'
import { serveDataExchange } from './data-exchange.ts'
import { serveEcho } from './echo.ts'
import { Inbox } from './inbox.ts'

/** @param stateDir what peers send is kept below it, in `inbox` and `received`. */
export function serveWellKnown (node: DataExchangeNode, stateDir: string, log: Logger, onReceived: (received: Received) => void): { close (): void } {
  const services = [
    unlessTaken(() => serveEcho(node)),
    unlessTaken(() => serveDataExchange(node, new Inbox(stateDir), log, onReceived)),
  ]
  return { close: () => { for (const service of services) service?.close() } }
}

function unlessTaken (serve: () => { close (): void }): { close (): void } | undefined {
  try {
    return serve()
  } catch (error) {
    if (error instanceof PilotError && error.code === 'PORT_IN_USE') return undefined
    throw error
  }
}
