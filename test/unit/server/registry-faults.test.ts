/** Why a registry cannot be used, as its clients tell it: each cause against a real registry, or what is not one. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { registryTarget } from '../../../src/runtime/net/endpoints.ts'
import { RegistryLink } from '../../../src/runtime/net/registry-link.ts'
import { tryRegistry } from '../../../src/runtime/net/ask-registry.ts'
import { startRendezvous, type Rendezvous } from '../../../src/server/rendezvous.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const ANYWHERE = { registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: LOG }
const QUESTION = { type: 'lookup', node_id: 1 }
const WRONG_PIN = '00'.repeat(32)

let both: Rendezvous
let tlsOnly: Rendezvous
const plain = createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', (bytes) => (bytes[0] === 0 ? socket.write(NOT_FOUND) : socket.destroy()))
})
const NOT_FOUND = Buffer.concat([
  Buffer.from([0, 0, 0, 35]),
  Buffer.from('{"type":"error","error":"not found"}'.slice(0, 35)),
])
before(async () => {
  both = await startRendezvous(ANYWHERE)
  tlsOnly = await startRendezvous({ ...ANYWHERE, tlsOnly: true })
  plain.listen(0, '127.0.0.1')
  await once(plain, 'listening')
})
after(async () => {
  await Promise.all([both.stop(), tlsOnly.stop()])
  plain.close()
})

test('each cause has its code, for a single question and for the lasting connection of a node', async () => {
  const withoutTls = `127.0.0.1:${(plain.address() as AddressInfo).port}`
  const nowhere = `127.0.0.1:${await closedPort()}`
  for (const [where, pin, code, reason] of [
    [`tls://${both.registry}`, undefined, 'REGISTRY_UNTRUSTED', /self-signed certificate/],
    [both.registry, WRONG_PIN, 'REGISTRY_PIN_MISMATCH', new RegExp(`${both.fingerprint}, not the pinned ${WRONG_PIN}`)],
    [tlsOnly.registry, undefined, 'REGISTRY_TLS_MISMATCH', /answers nothing without TLS/],
    [`tls://${withoutTls}`, undefined, 'REGISTRY_TLS_MISMATCH', /does not speak TLS/],
    [withoutTls, WRONG_PIN, 'REGISTRY_TLS_MISMATCH', /does not speak TLS/],
    [nowhere, undefined, 'REGISTRY_UNREACHABLE', /ECONNREFUSED/],
    [`tls://${nowhere}`, undefined, 'REGISTRY_UNREACHABLE', /ECONNREFUSED/],
  ] as const) {
    const target = registryTarget(where, pin)
    const asked = await tryRegistry(target, QUESTION)
    assert.ok('code' in asked, `${where}: answered`)
    assert.equal(asked.code, code, `${where}: ${asked.reason}`)
    assert.match(asked.reason, reason)
    const fault = await new Promise<{ code: string }>((resolve) => {
      const link = new RegistryLink(
        {
          routes: [{ ...target, proxy: undefined }],
          fallbacks: [],
          addressesOf: () => undefined,
          isConfined: () => false,
        },
        {
          onConnected: () => link.send(QUESTION),
          onReply: () => {},
          onDisconnected: (lost) => {
            link.stop()
            resolve(lost)
          },
        },
      )
      link.start()
    })
    assert.equal(fault.code, code, where)
  }
})

test('the right pin, and plain TCP where it is accepted, get the answer', async () => {
  for (const target of [
    registryTarget(both.registry),
    registryTarget(both.registry, both.fingerprint),
    registryTarget(`tls://${tlsOnly.registry}`, tlsOnly.fingerprint),
  ])
    assert.ok('reply' in (await tryRegistry(target, QUESTION)))
})

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
