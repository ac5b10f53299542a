/** The hello of two pilotgates in a ping: a round trip, and never mistaken for anything else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_HELLO_ENDPOINTS, decodePathHello, encodePathHello } from '../../../src/wire/path-hello.ts'
import type { PathHello } from '../../../src/wire/path-hello.ts'

const HELLO: PathHello = {
  mapping: 'endpoint-independent',
  filtering: 'address-and-port-dependent',
  endpoints: [
    { kind: 'public', endpoint: { address: '203.0.113.5', port: 40_000 } },
    { kind: 'lan', endpoint: { address: '192.168.1.7', port: 4_000 } },
    { kind: 'public', endpoint: { address: '2001:db8::7', port: 4_000 } },
    { kind: 'seen', endpoint: { address: '198.51.100.9', port: 1 } },
  ],
}

test('a hello survives a round trip', () => {
  assert.deepEqual(decodePathHello(encodePathHello(HELLO)), HELLO)
  const empty: PathHello = { mapping: 'unknown', filtering: 'unknown', endpoints: [] }
  assert.deepEqual(decodePathHello(encodePathHello(empty)), empty)
})

test('the bytes are these', () => {
  const bytes = encodePathHello({ ...HELLO, endpoints: HELLO.endpoints.slice(0, 1) })
  assert.equal(Buffer.from(bytes).toString('hex'), '50474831' + '02' + '02' + '01' + '00' + '04' + 'cb007105' + '9c40')
})

test('endpoints that do not fit are left out, and names are not addresses', () => {
  const many = {
    ...HELLO,
    endpoints: Array.from({ length: 40 }, (_, port) => ({
      kind: 'lan' as const,
      endpoint: { address: '10.0.0.1', port },
    })),
  }
  assert.equal(decodePathHello(encodePathHello(many))?.endpoints.length, MAX_HELLO_ENDPOINTS)
  assert.deepEqual(
    decodePathHello(
      encodePathHello({ ...HELLO, endpoints: [{ kind: 'lan', endpoint: { address: 'localhost', port: 1 } }] }),
    )?.endpoints,
    [],
  )
})

test('truncations, the zeros of a size probe, and random bytes are not a hello, and do not throw', () => {
  const bytes = encodePathHello(HELLO)
  for (let length = 0; length < bytes.length; length++)
    assert.equal(decodePathHello(bytes.subarray(0, length)), undefined)
  assert.equal(decodePathHello(new Uint8Array(1_393)), undefined)
  for (let i = 0; i < bytes.length; i++) {
    for (const value of [0, 3, 17, 255])
      decodePathHello(Uint8Array.from(bytes, (byte, at) => (at === i ? value : byte)))
  }
})

test('kinds and numbers from a newer peer are skipped', () => {
  const bytes = encodePathHello(HELLO)
  bytes[4] = 77
  bytes[7] = 9 // the first endpoint's kind
  const hello = decodePathHello(bytes)
  assert.equal(hello?.mapping, 'unknown')
  assert.equal(hello?.endpoints.length, 3)
})
