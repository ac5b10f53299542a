/**
 * The HTTP front's machinery in this process, with one service as its only destination; and a service that speaks raw
 * HTTP/2.
 */
import { Agent } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { AccessLog } from '../../src/gateway/http/access-log.ts'
import { dialling } from '../../src/gateway/http/dialling-agent.ts'
import type { Hop } from '../../src/gateway/http/hop.ts'
import { Http1 } from '../../src/gateway/http/http1.ts'
import { Http2 } from '../../src/gateway/http/http2.ts'
import { sniff } from '../../src/gateway/http/sniff.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import { address } from './harness.ts'
import type { Address, Stage } from './harness.ts'
import { serve } from './servers.ts'

/**
 * @param headMs how long the head of a request may take. Each client has its own connections, as with the real front.
 */
export async function frontOf(stage: Stage, target: string, headMs = 60_000): Promise<Address> {
  const access = new AccessLog(silentLogger)
  const [http1, http2] = [
    new Http1(access, () => true, { headersTimeout: headMs, connectionsCheckingInterval: headMs / 3 }),
    new Http2(access),
  ]
  const { host, port } = address(target)
  const dial = async (): Promise<Socket> => {
    const socket = connect({ host, port })
    socket.on('error', () => {})
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return socket
  }
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    const agent = dialling(new Agent({ keepAlive: true, maxSockets: 1 }), dial)
    socket.once('close', () => agent.destroy())
    const hop: Hop = {
      host: 'target',
      port: 80,
      agent,
      connect: dial,
      about: { http: 'front', service: 's', peer: 'p' },
    }
    sniff(socket, (version) => (version === 2 ? http2 : http1).accept(socket, () => hop), headMs)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  stage.defer(async () => {
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

export type Field = readonly [name: string, value: string]

/** How a raw service answers the request on a stream: frames, built by the functions below. */
export type RawAnswer = (stream: number, nth: number) => readonly Buffer[]

/** An HTTP/2 service that answers each request with the given frames, which no library would write. */
export async function rawHttp2(stage: Stage, answer: RawAnswer): Promise<string> {
  let requests = 0
  const service = await serve(stage, (socket) => {
    let [seen, greeted] = [Buffer.alloc(0), false]
    socket.on('error', () => {})
    socket.on('data', (part: Buffer) => {
      seen = Buffer.concat([seen, part])
      if (!greeted && seen.length >= PREFACE_BYTES) {
        seen = seen.subarray(PREFACE_BYTES)
        greeted = true
        socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)))
      }
      if (!greeted) return
      while (seen.length >= 9) {
        const length = seen.readUIntBE(0, 3)
        if (seen.length < 9 + length) return
        const [type, flags, stream] = [seen[3]!, seen[4]!, seen.readUInt32BE(5)]
        seen = seen.subarray(9 + length)
        if (type === SETTINGS && (flags & ACK) === 0) socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)))
        if (type === GOAWAY) socket.end()
        if (type === HEADERS) for (const bytes of answer(stream, ++requests)) socket.write(bytes)
      }
    })
  })
  return service.address
}

/** Literal fields, never indexed, no Huffman coding (RFC 7541 §6.2.3): any bytes can be sent. */
export function headersFrame(stream: number, fields: readonly Field[], end: boolean): Buffer {
  const block = fields.map(([name, value]) => Buffer.concat([Buffer.from([0x10]), text(name), text(value)]))
  return frame(HEADERS, END_HEADERS | (end ? END_STREAM : 0), stream, Buffer.concat(block))
}

export function dataFrame(stream: number, body: string, end: boolean): Buffer {
  return frame(DATA, end ? END_STREAM : 0, stream, Buffer.from(body))
}

export function resetFrame(stream: number, code: number): Buffer {
  return frame(RST_STREAM, 0, stream, uint32(code))
}

export function goawayFrame(lastStream: number): Buffer {
  return frame(GOAWAY, 0, 0, Buffer.concat([uint32(lastStream), uint32(0)]))
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length > 126) throw new RangeError('longer texts need a prefix integer')
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

// RFC 9113 §3.4, §6
const PREFACE_BYTES = 24
const [DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY] = [0, 1, 3, 4, 7]
const [END_STREAM, ACK, END_HEADERS] = [1, 1, 4]
