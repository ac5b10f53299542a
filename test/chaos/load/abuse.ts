/** What a row adds to the load on the mapping side: floods of connections, slow readers, silent clients. */
import type { Socket } from 'node:net'
import { localPort } from './ports.ts'
import type { Flow } from './ports.ts'
import { dial } from './stream-flows.ts'

export interface AbuseRequest {
  readonly kind: 'open' | 'dial' | 'pour' | 'slow reader'
  readonly flow: Flow | 'nowhere'
  readonly count: number // of connections; of a slow reader: seconds
  readonly concurrency?: number
  readonly write?: string
}

export interface AbuseReport {
  readonly answered: number // a byte came
  readonly refused: number // reset or ended before any byte
  readonly silent: number // neither, within the limit
  readonly slowestMs: number // until one of the first two
  readonly note?: string
}

const held = new Set<Socket>()

export async function abuse(request: AbuseRequest): Promise<AbuseReport> {
  if (request.kind === 'slow reader') return await readSlowly(request.count)
  if (request.kind === 'pour') return await pour(request)
  const results: { readonly what: 'answered' | 'refused' | 'silent'; readonly ms: number }[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < request.count) {
      next += 1
      results.push(await one(request))
    }
  }
  await Promise.all(Array.from({ length: Math.min(request.concurrency ?? request.count, request.count) }, worker))
  const count = (what: string): number => results.filter((result) => result.what === what).length
  return {
    answered: count('answered'),
    refused: count('refused'),
    silent: count('silent'),
    slowestMs: Math.round(Math.max(0, ...results.filter(({ what }) => what !== 'silent').map(({ ms }) => ms))),
  }
}

/** Closes what `open` left open, half of it with a reset. */
export function stopAbuse(): number {
  const count = held.size
  let index = 0
  for (const socket of held)
    if (index++ % 2 === 0) socket.destroy()
    else socket.resetAndDestroy()
  held.clear()
  return count
}

async function one({
  kind,
  flow,
  write = '!',
}: AbuseRequest): Promise<{ what: 'answered' | 'refused' | 'silent'; ms: number }> {
  const beganAt = performance.now()
  const socket = dial(flow)
  if (kind === 'open') held.add(socket)
  const what = await new Promise<'answered' | 'refused' | 'silent'>((resolve) => {
    const timer = setTimeout(() => resolve('silent'), write === '' ? SETTLE_MS : SILENT_MS)
    const settle = (result: 'answered' | 'refused'): void => {
      clearTimeout(timer)
      resolve(result)
    }
    socket.once('data', () => settle('answered'))
    socket.once('end', () => settle('refused'))
    socket.once('close', () => {
      held.delete(socket)
      settle('refused')
    })
    if (write !== '') socket.write(write)
  })
  if (kind !== 'open') socket.destroy()
  return { what, ms: performance.now() - beganAt }
}

/** Sends to the echo as much as it accepts, reads nothing for `seconds`, then compares everything. */
async function readSlowly(seconds: number): Promise<AbuseReport> {
  const socket = dial('idle')
  const block = Buffer.from(Array.from({ length: 65_521 }, (_, at) => (at * 7 + (at >> 8)) & 0xff))
  let [sent, received, wrong] = [0, 0, 0]
  socket.pause()
  const timer = setInterval(() => {
    while (socket.writableLength < 65_536 && sent < MAX_SLOW_BYTES) {
      socket.write(block)
      sent += block.length
    }
  }, 20)
  await new Promise((resolve) => {
    setTimeout(resolve, seconds * 1_000)
  })
  clearInterval(timer)
  const beganAt = performance.now()
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, SILENT_MS)
    socket.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte !== block[received++ % block.length]) wrong += 1
      if (received < sent) return
      clearTimeout(late)
      resolve()
    })
    socket.once('close', resolve)
    socket.resume()
  })
  socket.destroy()
  return {
    answered: wrong === 0 && received === sent ? 1 : 0,
    refused: received < sent ? 1 : 0,
    silent: 0,
    slowestMs: Math.round(performance.now() - beganAt),
    note: `${sent} bytes sent, ${received} came back, ${wrong} wrong; port ${localPort('idle')}`,
  }
}

/** Each writer continues until it has been blocked for a while; `answered` counts those that were. */
async function pour({ flow, count }: AbuseRequest): Promise<AbuseReport> {
  const block = Buffer.alloc(65_536, 7)
  const written = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = dial(flow)
      held.add(socket)
      let bytes = 0
      while (bytes < MAX_SLOW_BYTES && (await isTaken(socket, block))) bytes += block.length
      return bytes
    }),
  )
  return {
    answered: written.filter((bytes) => bytes < MAX_SLOW_BYTES).length,
    refused: 0,
    silent: 0,
    slowestMs: 0,
    note: `each wrote ${(Math.min(...written) / 2 ** 20).toFixed(1)} to ${(Math.max(...written) / 2 ** 20).toFixed(1)} MiB before it was stopped`,
  }
}

async function isTaken(socket: Socket, block: Buffer): Promise<boolean> {
  return await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), STOPPED_MS)
    socket.write(block, (error) => {
      clearTimeout(timer)
      resolve(error === undefined || error === null)
    })
  })
}

/** A write blocked for this long means backpressure, not a busy machine. */
const STOPPED_MS = 5_000
const SILENT_MS = 45_000
const SETTLE_MS = 1_000
const MAX_SLOW_BYTES = 64 * 1_048_576
