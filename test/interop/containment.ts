/**
 * Programs that have public hosts as defaults are started with every address named, in a namespace whose only way out
 * leads nowhere (scripts/contained.mjs), behind a proxy of ours that refuses. Both are witnesses of what they tried.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Stage } from '../e2e/harness.ts'

const wayOut = process.env['PILOTGATE_WAY_OUT']

export const isContained = wayOut !== undefined

/** Packets that anything in this namespace has sent towards another machine so far. */
export function packetsOut(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith(`${wayOut}:`))
  if (line === undefined) throw new Error(`this namespace has no ${wayOut}`)
  return Number(line.split(':')[1]!.trim().split(/\s+/)[TX_PACKETS])
}

export interface RefusingProxy {
  readonly url: string
  /** host:port of everything that was wanted from it. */
  readonly asked: readonly string[]
}

/** An HTTP proxy on loopback that lets nothing pass, for programs that want something from the web at their start. */
export async function refusingProxy(stage: Stage): Promise<RefusingProxy> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(403).end()
  })
  server.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    socket.on('error', () => {}) // it may have gone already
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stage.defer(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

/** Column of /proc/net/dev behind the device's name. */
const TX_PACKETS = 9
