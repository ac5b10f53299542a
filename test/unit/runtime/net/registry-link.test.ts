/** The connection to a registry, over loopback: how large an answer may be. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { RegistryLink } from '../../../../src/runtime/net/registry-link.ts'
import { MAX_REGISTRY_REPLY_BYTES, encodeRegistryFrame } from '../../../../src/wire/registry-messages.ts'

test('answers far above 64 KiB are read, and one that announces more than 16 MiB ends the connection unread', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const replies: object[] = []
  let onReply = (): void => {}
  let onEnd: (reason: string) => void = () => {}
  const link = new RegistryLink(
    {
      routes: [{ address: '127.0.0.1', port, tls: false, fingerprint: undefined, proxy: undefined }],
      fallbacks: [],
      addressesOf: () => undefined,
      isConfined: () => false,
    },
    {
      onConnected: () => {},
      onDisconnected: ({ reason }) => onEnd(reason),
      onReply: (reply) => {
        replies.push(reply)
        onReply()
      },
    },
  )
  try {
    const incoming = once(server, 'connection') as Promise<[Socket]>
    link.start()
    const [socket] = await incoming
    const mailbox = Array.from({ length: 100 }, (_, i) => ({ from_node_id: i + 1, justification: 'x'.repeat(20_000) }))
    const answered = new Promise<void>((resolve) => (onReply = resolve))
    socket.write(encodeRegistryFrame({ type: 'poll_handshakes_ok', requests: mailbox }))
    await answered
    assert.deepEqual(replies, [{ type: 'poll_handshakes_ok', requests: mailbox }])
    const ended = new Promise<string>((resolve) => (onEnd = resolve))
    const announcement = Buffer.alloc(4)
    announcement.writeUInt32BE(MAX_REGISTRY_REPLY_BYTES + 1)
    socket.write(announcement)
    assert.match(await ended, /too_long/)
  } finally {
    link.stop()
    server.close()
  }
})
