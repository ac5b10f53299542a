/** An agent of Node's HTTP client whose connections are dialled by us: streams of the overlay, or introduced sockets. */
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
