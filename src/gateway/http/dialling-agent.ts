/**
 * An agent for Node's HTTP client whose connections we dial: overlay streams, or sockets starting with the caller's
 * identity.
 */
import type { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import { callbackify } from 'node:util'

/** @returns the same agent. @param dial its errors become those of the request. */
export function dialling(agent: Agent, dial: (host: string, port: number) => Promise<Duplex>): Agent {
  const dialled = callbackify(dial)
  const createConnection = (
    { host, port }: { host: string; port: number },
    done: (error: Error | null, socket: Duplex) => void,
  ): void => {
    dialled(host, Number(port), done)
  }
  return Object.assign(agent, { createConnection })
}
