/**
 * Framing against every way to split a stream; challenges against the check vectors; parsers against hostile replies.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex, fromUtf8, toBase64, utf8 } from '../../../src/base/bytes.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import {
  challenges,
  encodeRegistryFrame,
  isUnknownNode,
  MAX_REGISTRY_FRAME_BYTES,
  parseLookupReply,
  parsePollHandshakesReply,
  parseRefusal,
  parseRegisterReply,
  parseResolveHostnameReply,
  parseResolveReply,
  RegistryFrameReader,
} from '../../../src/wire/registry-messages.ts'

const KEY = 'A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg='

test('a frame is the length and the JSON text', () => {
  const frame = encodeRegistryFrame({ type: 'lookup', node_id: 2 })
  assert.deepEqual(frame.subarray(0, 4), fromHex('0000001d'))
  assert.equal(fromUtf8(frame.subarray(4)), '{"type":"lookup","node_id":2}')
})

test('messages come out complete and in order however the stream is split', () => {
  const messages = [{ a: 1 }, { text: 'ü'.repeat(300) }, {}, { list: [1, 2, 3] }]
  const stream = Buffer.concat(messages.map(encodeRegistryFrame))
  for (const size of [1, 2, 3, 4, 5, 7, 64, stream.length]) {
    const reader = new RegistryFrameReader()
    const got: unknown[] = []
    for (let at = 0; at < stream.length; at += size) {
      reader.push(stream.subarray(at, at + size))
      for (let next = reader.next(); next !== undefined; next = reader.next()) got.push(next)
    }
    assert.deepEqual(got, messages, `pieces of ${size}`)
  }
})

test('the largest message passes, one byte more is refused from its length alone, permanently', () => {
  const reader = new RegistryFrameReader()
  const text = '{"a":1}'.padEnd(MAX_REGISTRY_FRAME_BYTES, ' ')
  reader.push(Buffer.from([0, 1, 0, 0]))
  reader.push(utf8(text))
  assert.deepEqual(reader.next(), { a: 1 })
  reader.push(Buffer.from([0, 1, 0, 1]))
  assert.equal(reader.next(), 'too_long')
  reader.push(encodeRegistryFrame({ a: 1 }))
  assert.equal(reader.next(), 'too_long')
})

test('anything but one JSON object is a fault', () => {
  for (const text of ['', 'null', '[]', '"x"', '5', '{"a":1', '{"a":1}x', '\u0000']) {
    const reader = new RegistryFrameReader()
    const body = Buffer.from(text)
    reader.push(Buffer.concat([Buffer.from([0, 0, 0, body.length]), body]))
    assert.equal(reader.next(), 'not_json_object', JSON.stringify(text))
  }
})

test('a large message in single bytes does not cost quadratic work', () => {
  const frame = encodeRegistryFrame({ text: 'x'.repeat(60_000) })
  const reader = new RegistryFrameReader()
  const started = process.cpuUsage()
  for (let round = 0; round < 20; round++) {
    for (let at = 0; at < frame.length; at++) reader.push(frame.subarray(at, at + 1))
    assert.ok(typeof reader.next() === 'object')
  }
  assert.ok(process.cpuUsage(started).user < 5_000_000, 'twenty messages within seconds')
})

test('challenges are the texts of the specification', () => {
  const identity = createIdentity(Uint8Array.from({ length: 32 }, (_, i) => i))
  const sign = (text: string): string => toBase64(identity.sign(utf8(text)))
  assert.equal(
    sign(challenges.heartbeat(1)),
    '/4grKDboxqlBOw3IvlHRnG2J9e+rkX/8vIfy5asy+j0y1k6ZsMKzffcaFgIFrn3mK80wF11fqg7+eGoO2IfvDw==',
  )
  assert.equal(
    sign(challenges.resolve(1, 2)),
    'TTXTG4hqiMpuk/6pIMAijvbv+iJxWsgWUj5PhrlbpPfEHv3gB6dYuejaNTngef8yc6hvFbQrk052pE9jDhSfBA==',
  )
  assert.equal(
    sign(challenges.requestHandshake(1, 2)),
    'JFWdAzJ/10rbW/TzBhc5xafseihunY3Brl3sYiDb9VVAK0C8HIilfffmAypcUfphoFjIuyhrHIhPj1GYSpQ2CA==',
  )
  assert.equal(challenges.requestHandshake(1, 'agent-b'), 'handshake:1:agent-b')
  assert.equal(challenges.register('127.0.0.1:1', KEY), `register:127.0.0.1:1:${KEY}`)
  assert.equal(challenges.rotateKey(7), 'rotate:7')
  assert.equal(challenges.punch(3, 4), 'punch:3:4')
})

test('replies of the reference are parsed field by field', () => {
  const register = {
    type: 'register_ok',
    node_id: 1,
    address: '0:0000.0000.0001',
    network_id: 0,
    public_key: KEY,
    observed_addr: '127.0.0.1:5',
    protocol_version: 1,
  }
  assert.deepEqual(parseRegisterReply(register), {
    nodeId: 1,
    address: { network: 0, node: 1 },
    observedEndpoint: '127.0.0.1:5',
    hostname: undefined,
    hostnameError: undefined,
  })
  const lookup = parseLookupReply({
    type: 'lookup_ok',
    node_id: 2,
    address: '0:0000.0000.0002',
    public_key: KEY,
    networks: [0, 'x', 3],
    public: true,
    real_addr: '1.2.3.4:5',
    tags: null,
  })
  assert.ok(typeof lookup === 'object')
  assert.deepEqual(
    [lookup.networks, lookup.tags, lookup.endpoint, lookup.publicKey.length],
    [[0, 3], [], '1.2.3.4:5', 32],
  )
  assert.deepEqual(parseResolveReply({ type: 'resolve_ok', node_id: 2, relay_only: true }), {
    nodeId: 2,
    endpoint: undefined,
    lanEndpoints: [],
    relayOnly: true,
    extended: false,
  })
  const ours = parseResolveReply({
    type: 'resolve_ok',
    node_id: 2,
    real_addr: '203.0.113.5:4000',
    extensions: ['PGO1'],
  })
  assert.equal(typeof ours === 'object' && ours.extended, true)
  assert.equal(parseRefusal({ type: 'error', error: 'node 4: node not found' }), 'node 4: node not found')
  assert.ok(isUnknownNode('node 4: node not found', 4) && !isUnknownNode('node 14: node not found', 4))
})

test('a poll keeps its good entries when others are malformed', () => {
  const reply = parsePollHandshakesReply({
    type: 'poll_handshakes_ok',
    requests: [
      null,
      { from_node_id: 'x' },
      { from_node_id: 3, justification: 'hi', timestamp: 9, hostname: 'carol', public_key: KEY },
    ],
    responses: [{ from_node_id: 4, accept: 'yes' }],
  })
  assert.ok(typeof reply === 'object')
  assert.equal(reply.requests.length, 1)
  assert.equal(reply.requests[0]?.hostname, 'carol')
  assert.equal(reply.responses[0]?.accept, false)
})

test('no parser throws on or accepts a reply of the wrong shape', () => {
  const parsers = [
    parseRegisterReply,
    parseLookupReply,
    parseResolveReply,
    parseResolveHostnameReply,
    parsePollHandshakesReply,
  ]
  const hostile: object[] = [
    {},
    [],
    { type: 5 },
    { type: 'error', error: 'x' },
    Object.create(null) as object,
    { type: 'register_ok', node_id: -1 },
    { type: 'lookup_ok', node_id: 1e12, public_key: 'AAAA' },
  ]
  for (const parse of parsers) for (const reply of hostile) assert.equal(parse(reply), 'malformed_reply')
  assert.equal(
    parsePollHandshakesReply(JSON.parse('{"__proto__":{"type":"poll_handshakes_ok"}}') as object),
    'malformed_reply',
  )
})
