/** The service behind every variant: source, sink, echo and HTTP. Lean: it is part of every figure. */
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import {
  COUNT_BYTES,
  HEADER_BYTES,
  HELLO,
  HIGH_WATER_BYTES,
  HTTP_REQUEST,
  HTTP_RESPONSE,
  countAt,
  countBytes,
} from './protocol.ts'
import type { Operation } from './protocol.ts'
import { BLOCK, pump } from './pump.ts'

export async function startService(host: string): Promise<Record<string, unknown>> {
  return { service: await listen(host, onConnection), http: await listen(host, onHttp) }
}

export async function listen(host: string, onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer(
    { allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATER_BYTES },
    (socket) => {
      socket.on('error', () => socket.destroy())
      onSocket(socket)
    },
  )
  await new Promise<void>((resolve) => {
    server.listen({ host, port: 0, backlog: 4_096 }, resolve)
  })
  listening.add(server)
  return (server.address() as AddressInfo).port
}

/** For tests: a role runs until it is killed. */
export function stopListening(): void {
  for (const server of listening) server.close()
}

function onConnection(socket: Socket): void {
  let head: Buffer = Buffer.alloc(0)
  const onHead = (chunk: Buffer): void => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
    for (; head[0] === HELLO[0]; head = head.subarray(1)) socket.write(HELLO)
    if (head.length < HEADER_BYTES) return
    socket.off('data', onHead)
    HANDLERS[head.toString('latin1', 0, 1) as Operation](socket, countAt(head, 1), head.subarray(HEADER_BYTES))
  }
  socket.on('data', onHead)
}

const HANDLERS: Readonly<Record<Operation, (socket: Socket, count: number, rest: Buffer) => void>> = {
  d: (socket, count) => {
    socket.resume()
    pump(socket, count, () => socket.end())
  },
  u: (socket, count, rest) => read(socket, count, rest, () => socket.end(countBytes(count))),
  b: (socket, count, rest) => {
    let open = 2
    const done = (): void => {
      if (--open === 0) socket.end()
    }
    read(socket, count, rest, done)
    pump(socket, count, done)
  },
  e: (socket, _count, rest) => {
    if (rest.length > 0) socket.write(rest)
    socket.on('data', (chunk: Buffer) => {
      if (!socket.write(chunk)) socket.pause()
    })
    socket.on('drain', () => socket.resume())
    socket.on('end', () => socket.end())
  },
  r: (socket, _count, rest) => onRequests(socket, rest),
  x: (socket) => {
    socket.resume()
    socket.end(BLOCK.subarray(0, 1))
  },
}

/** More than was announced is a fault in between, and breaks the connection: the client sees too little. */
function read(socket: Socket, count: number, rest: Buffer, done: () => void): void {
  let got = rest.length
  const check = (): void => {
    if (got > count) socket.destroy()
    else if (got === count) done()
  }
  socket.on('data', (chunk: Buffer) => {
    got += chunk.length
    check()
  })
  check()
}

function onRequests(socket: Socket, rest: Buffer): void {
  let held = rest
  const answer = (): void => {
    while (held.length >= COUNT_BYTES) {
      pump(socket, countAt(held, 0), () => {})
      held = held.subarray(COUNT_BYTES)
    }
  }
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    answer()
  })
  socket.on('end', () => socket.end())
  answer()
}

/** The minimum of HTTP for a keep-alive client: the path is measured, not a web server. */
function onHttp(socket: Socket): void {
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    for (; bytes >= HTTP_REQUEST.length; bytes -= HTTP_REQUEST.length) socket.write(HTTP_RESPONSE, 'latin1')
  })
  socket.on('end', () => socket.end())
}

const listening = new Set<Server>()
