/**
 * The services behind the exposing gateway, as one program in its namespace. It checks what it receives as strictly as the client does.
 * Run: node --import tsx server.ts CONTROL-SOCKET
 */
import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { serveControl } from './control.ts'
import { frame, FrameReader, message, wrongWith } from './frames.ts'
import { isTrueEnd } from './ends.ts'
import { OddService } from './odd.ts'
import { servicePort } from './ports.ts'
import type { Flow } from './ports.ts'
import { Faults } from './tally.ts'

const faults = new Faults()
const counts = { streams: 0, requests: 0, open: 0, finished: 0 }
const odd = new OddService(servicePort('odd'))

listen('streams', serveStream)
listen('requests', serveRequest)
listen('idle', (socket) => void socket.pipe(socket))
serveDatagrams()
serveHttp()
serveControl(process.argv[2]!, {
  report: () => ({ ...counts, earlyEnds: faults.earlyEnds, wrong: faults.wrong, hangs: faults.hangs }),
  odd: (body: { readonly mode: OddService['mode'] }) => {
    odd.mode = body.mode
  },
})

function listen(flow: Flow, onSocket: (socket: Socket) => void): void {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    counts.open += 1
    socket.on('error', () => {})
    socket.once('close', () => (counts.open -= 1))
    onSocket(socket)
  })
  server.listen({ port: servicePort(flow), host: '127.0.0.1', backlog: 4_096 })
}

/** Sends frames back continuously, four every tenth of a second, until the client's last one has arrived. */
function serveStream(socket: Socket): void {
  counts.streams += 1
  let [stream, sent, isDone] = [0, 0, false]
  const reader = new FrameReader(0, (number) => (stream = number))
  const tick = (): void => {
    if (isDone || reader.frames === 0 || reader.wrong !== undefined) return
    for (let count = 0; count < FRAMES_A_TICK && socket.writableLength < MAX_WAITING_BYTES; count++)
      socket.write(frame(stream, 1, sent++, reader.frames))
  }
  const timer = setInterval(tick, TICK_MS)
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk)
    if (reader.wrong !== undefined) faults.add(reader.wrong, `service: ${reader.detail}`)
    if (reader.wrong !== undefined) socket.destroy()
  })
  socket.once('end', () => {
    if (!isTrueEnd(socket)) return void socket.destroy()
    reader.end()
    if (reader.wrong !== undefined) {
      faults.add(reader.wrong, `service: ${reader.detail}`)
      return void socket.destroy()
    }
    isDone = true
    counts.finished += 1
    socket.end(frame(stream, 1, sent, reader.frames, true))
  })
  socket.once('close', () => clearInterval(timer))
}

/** The answer comes after the end of the request; the seed determines its length. */
function serveRequest(socket: Socket): void {
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  socket.once('end', () => {
    if (!isTrueEnd(socket)) return void socket.destroy()
    const bytes = Buffer.concat(parts)
    const wrong = bytes.length === 0 ? undefined : wrongWith(bytes)
    if (wrong !== undefined) faults.add(wrong, `service: request of ${bytes.length} bytes: ${wrong}`)
    if (wrong !== undefined || bytes.length === 0) return void socket.destroy()
    counts.requests += 1
    const seed = bytes.readUInt32BE(4)
    socket.end(message(seed, (seed * 7_919) % MAX_ANSWER_BYTES))
  })
}

function serveDatagrams(): void {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, from) => {
    const wrong = wrongWith(bytes)
    if (wrong !== undefined) faults.add(wrong, `service: datagram of ${bytes.length} bytes: ${wrong}`)
    socket.send(bytes, from.port, from.address)
  })
  socket.on('error', () => {})
  socket.bind(servicePort('datagrams'), '127.0.0.1')
}

function serveHttp(): void {
  const server = createHttpServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const bytes = Buffer.concat(parts)
      const wrong = wrongWith(bytes)
      if (wrong !== undefined) faults.add(wrong, `service: HTTP body of ${bytes.length} bytes: ${wrong}`)
      response.end(bytes)
    })
  })
  server.listen(servicePort('http'), '127.0.0.1')
}

const TICK_MS = 100
const FRAMES_A_TICK = 4
const MAX_WAITING_BYTES = 262_144
const MAX_ANSWER_BYTES = 40_000
