/** handshake-444.json at the level of text and signatures; which messages are allowed is up to the trust machine. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fromBase64, fromUtf8, utf8 } from '../../../src/base/bytes.ts'
import { createIdentity, verifySignature } from '../../../src/crypto/identity.ts'
import {
  formatHandshakeMessage,
  handshakeChallenge,
  MAX_HANDSHAKE_BYTES,
  MAX_JUSTIFICATION_BYTES,
  MAX_RECEIVED_HANDSHAKE_BYTES,
  parseHandshakeMessage,
  type HandshakeMessage,
} from '../../../src/wire/handshake-message.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

const vectors = loadVectors<HandshakeVectors>('handshake-444')
const recorded = vectors.scenarios.flatMap(({ nodes, events }) =>
  events.filter(({ type }) => type === 'port 444').map((event) => ({ ...event, nodes })),
)
const EMPTY: HandshakeMessage = {
  type: 'handshake_request',
  nodeId: 1,
  publicKey: '',
  justification: '',
  signature: '',
  reason: '',
  timestamp: 0,
}

test('every message recorded on port 444 is parsed, and formatted again byte by byte', () => {
  assert.ok(recorded.length >= 10)
  for (const { text, message: fields } of recorded) {
    const message = parsed(text)
    assert.deepEqual(message, {
      type: fields.type,
      nodeId: fields.node_id,
      publicKey: fields.public_key,
      justification: fields.justification,
      signature: fields.signature,
      reason: fields.reason,
      timestamp: fields.timestamp,
    })
    assert.equal(fromUtf8(formatHandshakeMessage(message)), text)
  }
})

test('recorded signatures cover the challenge of sender and receiver, and ours are the same', () => {
  for (const { text, from, to, signed_challenge: challenge, signature_valid: valid, nodes } of recorded) {
    const message = parsed(text)
    const receiver = nodes.find(({ name }) => name === to)
    const sender = nodes.find(({ name }) => name === from)
    assert.ok(receiver && sender)
    assert.equal(handshakeChallenge(message.nodeId, receiver.node_id), challenge)
    assert.equal(verifies(message, challenge), valid)
    const ours = createIdentity(hex(sender.ed25519_seed)).sign(utf8(challenge))
    assert.deepEqual(fromBase64(message.signature), ours)
  }
})

test('crafted messages parse unless they are not JSON or of no known type', () => {
  const faults: Record<string, string> = { 'not JSON': 'not_json', 'unknown type': 'unknown_type' }
  for (const { name, sent } of vectors.crafted.cases) {
    for (const text of [sent].flat()) {
      if (typeof text !== 'string') continue
      const expected = name === 'message split over two segments' ? 'not_json' : faults[name]
      const result = parseHandshakeMessage(utf8(text))
      assert.equal(typeof result === 'string' ? result : undefined, expected, name)
    }
  }
})

test('crafted signatures fail where the recording says they are wrong', () => {
  const wrong = [
    'signature over another peer id',
    'signature over reversed ids',
    'signature by another key',
    'signature not base64',
    'signature missing although a public key is given',
    'neither public key nor signature',
    'node id of a node that does not exist, no public key',
  ]
  for (const { name, sent } of vectors.crafted.cases) {
    for (const text of [sent].flat()) {
      const message = typeof text === 'string' ? parseHandshakeMessage(utf8(text)) : 'not_json'
      if (typeof message === 'string') continue
      assert.equal(verifies(message, handshakeChallenge(message.nodeId, 2)), !wrong.includes(name), name)
    }
  }
})

test('strings are escaped as in Go: for HTML, JavaScript and control characters', () => {
  const text = fromUtf8(
    formatHandshakeMessage({ ...EMPTY, justification: '<a href="x">&\u2028\u2029é\u0001\n\t\\\u007f' }),
  )
  assert.ok(
    text.includes('"justification":"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029é\\u0001\\n\\t\\\\\u007f"'),
    text,
  )
  assert.equal(parsed(text).justification, '<a href="x">&\u2028\u2029é\u0001\n\t\\\u007f')
})

test('a justification of the permitted length fits one segment, whatever is in it', () => {
  for (const filler of ['x', '<', '\u0000', '"', 'é', '\u2028', '\u{1F600}']) {
    const justification = filler.repeat(Math.floor(MAX_JUSTIFICATION_BYTES / utf8(filler).length))
    const message: HandshakeMessage = {
      type: 'handshake_request',
      nodeId: 0xffff_ffff,
      publicKey: 'A'.repeat(44),
      justification,
      signature: 'A'.repeat(88),
      reason: '',
      timestamp: Number.MAX_SAFE_INTEGER,
    }
    const bytes = formatHandshakeMessage(message)
    assert.ok(bytes.length < MAX_HANDSHAKE_BYTES, `${bytes.length} bytes of ${JSON.stringify(filler)}`)
    assert.deepEqual(parseHandshakeMessage(bytes), message)
  }
})

test('absent and null fields are empty, invalid ones are a fault', () => {
  assert.deepEqual(parsed('{"type":"handshake_accept","node_id":3,"reason":null}'), {
    ...EMPTY,
    type: 'handshake_accept',
    nodeId: 3,
  })
  const bad = [
    '"node_id":"3"',
    '"node_id":-1',
    '"node_id":1.5',
    '"node_id":4294967296',
    '"timestamp":"now"',
    '"timestamp":1e300',
    '"public_key":1',
    '"justification":[]',
    '"signature":{}',
    '"reason":true',
  ]
  for (const field of bad)
    assert.equal(parseHandshakeMessage(utf8(`{"type":"handshake_accept",${field}}`)), 'bad_field', field)
})

test('anything but one JSON object is a fault', () => {
  for (const text of ['', 'null', '[]', '1', '"handshake_accept"', '{}{}', '{"type":', '\u0000']) {
    assert.equal(parseHandshakeMessage(utf8(text)), 'not_json', text)
  }
  assert.equal(parseHandshakeMessage(utf8('{}')), 'unknown_type')
  assert.equal(parseHandshakeMessage(utf8('{"type":"__proto__"}')), 'unknown_type')
  assert.equal(parseHandshakeMessage(utf8('{"__proto__":{"type":"handshake_accept"}}')), 'unknown_type')
  assert.equal(parseHandshakeMessage(new Uint8Array(MAX_RECEIVED_HANDSHAKE_BYTES + 1)), 'too_long')
  assert.equal(parseHandshakeMessage(new Uint8Array(MAX_RECEIVED_HANDSHAKE_BYTES).fill(0x5b)), 'not_json')
})

interface Node {
  name: string
  node_id: number
  ed25519_seed: string
}
interface Event {
  type: string
  from: string
  to: string
  text: string
  signed_challenge: string
  signature_valid: boolean
  message: {
    type: string
    node_id: number
    public_key: string
    justification: string
    signature: string
    reason: string
    timestamp: number
  }
}
interface HandshakeVectors {
  scenarios: { nodes: Node[]; events: Event[] }[]
  crafted: { cases: { name: string; sent: string | (string | { action: string })[] }[] }
}

function parsed(text: string): HandshakeMessage {
  const message = parseHandshakeMessage(utf8(text))
  assert.ok(typeof message !== 'string', `${String(message)}: ${text}`)
  return message
}

function verifies(message: HandshakeMessage, challenge: string): boolean {
  const key = fromBase64(message.publicKey)
  const signature = fromBase64(message.signature)
  return key !== undefined && signature !== undefined && verifySignature(key, utf8(challenge), signature)
}
