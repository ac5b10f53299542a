/** What gateways are measured with and against: a byte source, a sink, and the proxy pairs that people build by hand. */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** Sends `bytes` zero bytes to every client that asks for them with one line `N\n`, then ends. */
export async function startSource (): Promise<{ port: number, stop (): void }> {
  const block = Buffer.alloc(262_144)
  return await serve((socket) => {
    socket.once('data', (line) => {
      let left = Number.parseInt(line.toString(), 10)
      const go = (): void => {
        while (left > 0) {
          const piece = left < block.length ? block.subarray(0, left) : block
          left -= piece.length
          if (!socket.write(piece)) {
            socket.once('drain', go)
            return
          }
        }
        socket.end()
      }
      go()
    })
  })
}

export async function startEcho (): Promise<{ port: number, stop (): void }> {
  return await serve((socket) => {
    socket.setNoDelay(true)
    socket.pipe(socket)
  })
}

/** A TCP proxy: what a gateway would be without encryption, trust and NAT traversal. */
export async function startTcpProxy (target: number): Promise<{ port: number, stop (): void }> {
  return await serve((socket) => {
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    upstream.on('error', () => socket.destroy())
    socket.pipe(upstream)
    upstream.pipe(socket)
  })
}

export async function serve (onSocket: (socket: Socket) => void): Promise<{ port: number, stop (): void }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
