/**
 * The sample HTTP service: `/` identifies it, `/echo` returns its input, `/bytes/N` sends N bytes that both ends can
 * compute.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

export interface Sample {
  readonly address: string // ip:port
  stop(): Promise<void>
}

export const GREETING = 'Hello from the sample HTTP service behind agent-b.\n'

export async function startHttpSample(): Promise<Sample> {
  const server = createServer(serve)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Blocks of a fixed pattern preceded by their index: no two are equal, none needs to be stored. */
export function* sampleBytes(length: number): Generator<Uint8Array> {
  for (let index = 0; index * BLOCK.length < length; index++) {
    const block = Buffer.from(BLOCK)
    block.writeUInt32BE(index, 0)
    yield block.subarray(0, Math.min(BLOCK.length, length - index * BLOCK.length))
  }
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '/').replace(/\?.*$/s, '')
  const length = /^\/bytes\/(\d{1,10})$/.exec(path)?.[1]
  if (path === '/') {
    response
      .writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(GREETING) })
      .end(GREETING)
  } else if (path === '/echo') {
    response.writeHead(200, { 'content-type': request.headers['content-type'] ?? 'application/octet-stream' })
    request.pipe(response)
  } else if (length !== undefined) {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': Number(length) })
    Readable.from(sampleBytes(Number(length)))
      .on('error', () => response.destroy())
      .pipe(response)
  } else {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('There are /, /echo and /bytes/N.\n')
  }
}

/** 64 KiB of a linear congruential generator: nothing that compression or repetition could hide. */
const BLOCK = ((): Uint8Array => {
  const block = new Uint8Array(65_536)
  let state = 1
  for (let i = 0; i < block.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    block[i] = state >>> 24
  }
  return block
})()
