/** One request to a registry over TCP, on its own connection. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { parseEndpoint } from '../../src/base/types.ts'
import { encodeRegistryFrame, RegistryFrameReader } from '../../src/wire/registry-messages.ts'

export type Reply = Record<string, unknown>

/** @param source Loopback address to connect from: registrations are rate-limited by source. */
export async function askRegistry(registry: string, request: object, source = '127.0.0.1'): Promise<Reply> {
  const endpoint = parseEndpoint(registry)
  const socket = connect({ host: endpoint!.address, port: endpoint!.port, localAddress: source })
  socket.on('error', () => undefined)
  const reader = new RegistryFrameReader(16 * 1024 * 1024)
  socket.on('data', (chunk: Buffer) => reader.push(chunk))
  socket.write(encodeRegistryFrame(request))
  for (;;) {
    const reply = reader.next()
    if (typeof reply === 'object') {
      socket.destroy()
      return { ...reply }
    }
    if (socket.closed || reply !== undefined)
      throw new Error(`the registry at ${registry} did not answer ${JSON.stringify(request)}`)
    await Promise.race([once(socket, 'data'), once(socket, 'close')])
  }
}
