/**
 * ipc-transcript.json as bytes: every message of a real daemon and its clients is decoded and encoded again exactly.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatAddress } from '../../../src/base/address.ts'
import { concatBytes, toHex } from '../../../src/base/bytes.ts'
import {
  MAX_IPC_MESSAGE_BYTES,
  IpcFrameReader,
  decodeIpcMessage,
  decodeIpcRequest,
  encodeIpcFrame,
  encodeIpcMessage,
  encodeIpcRequest,
  encodeSendHeader,
} from '../../../src/wire/ipc-messages.ts'
import type { IpcMessage } from '../../../src/wire/ipc-messages.ts'
import { parseDaemonInfo, parsePendingReply, parseTrustedReply } from '../../../src/runtime/daemon/daemon-json.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

interface Vector {
  readonly from?: 'client' | 'daemon'
  readonly message?: string
  readonly message_header?: string
  readonly command: string
  readonly malformed?: boolean
  readonly port?: number
  readonly connection?: number
  readonly address?: string
  readonly remote_address?: string
  readonly remote_port?: number
  readonly source_address?: string
  readonly source_port?: number
  readonly destination_port?: number
  readonly data_length?: number
  readonly text?: string
  readonly json?: unknown
  readonly sub_command?: string
  readonly node_id?: number
}

const vectors = loadVectors<{
  readonly conversations: readonly { readonly messages: readonly Vector[] }[]
  readonly command_line_tool: { readonly runs: readonly { readonly messages: readonly Vector[] }[] }
}>('ipc-transcript')
const all = [...vectors.conversations, ...vectors.command_line_tool.runs]
  .flatMap(({ messages }) => messages)
  .filter(({ message, from }) => message !== undefined && from !== undefined)
const said = (from: string): readonly Vector[] => all.filter((vector) => vector.from === from)

test('every message of a daemon is decoded to the recorded fields, and encoded again byte by byte', () => {
  assert.ok(said('daemon').length > 100)
  for (const vector of said('daemon')) {
    const message = decodeIpcMessage(hex(vector.message!))
    assert.ok(typeof message === 'object', `${vector.command}: ${String(message)}`)
    assert.equal(toHex(encodeIpcMessage(message)), vector.message)
    sameMessage(message, vector)
  }
})

test('every request of a client is decoded to the recorded fields, and encoded again byte by byte', () => {
  const faults = new Map<string, number>()
  assert.ok(said('client').length > 100)
  for (const vector of said('client')) {
    const request = decodeIpcRequest(hex(vector.message!))
    if (typeof request === 'string') {
      faults.set(request, (faults.get(request) ?? 0) + 1)
      continue
    }
    assert.equal(toHex(encodeIpcRequest(request)), vector.message)
    assert.notEqual(vector.malformed, true, vector.message)
    switch (request.kind) {
      case 'bind':
        assert.equal(request.port, vector.port)
        break
      case 'dial':
        assert.deepEqual([formatAddress(request.address), request.port], [vector.address, vector.port])
        break
      case 'send':
        assert.deepEqual([request.connection, request.data.length], [vector.connection, vector.data_length])
        break
      case 'close':
        assert.equal(request.connection, vector.connection)
        break
      case 'send_to':
        assert.deepEqual(
          [formatAddress(request.address), request.port, request.data.length],
          [vector.address, vector.port, vector.data_length],
        )
        break
      case 'handshake':
        assert.deepEqual(
          [request.sub === 'request' ? 'send' : request.sub, request.node],
          [vector.sub_command, vector.node_id],
        )
        break
      case 'query':
        assert.equal(request.query.replaceAll('_', ' '), vector.command)
    }
  }
  // The daemon answers with an error what it could not parse, and neither can we.
  assert.deepEqual([...faults.keys()].sort(), [
    'empty',
    'missing_address',
    'missing_connection',
    'missing_node',
    'missing_port',
    'missing_sub',
    'unknown_command',
    'unknown_sub',
  ])
})

test('a Send header and its data are one Send', () => {
  const data = new Uint8Array([1, 2, 3])
  const whole = encodeIpcFrame(encodeIpcRequest({ kind: 'send', connection: 4711, data }))
  assert.deepEqual(concatBytes(encodeSendHeader(4711, data.length), data), whole)
})

test('messages are found in a byte stream however it is split, empty ones are ignored, and an overlong one is a permanent fault', () => {
  const messages = [hex('0d'), hex('0700000004'), new Uint8Array(70_000).fill(7), hex('21')]
  const bytes = concatBytes(
    ...messages.slice(0, 2).map(encodeIpcFrame),
    new Uint8Array(4),
    ...messages.slice(2).map(encodeIpcFrame),
  )
  for (const step of [1, 3, 5, 64, 65_536, bytes.length]) {
    const reader = new IpcFrameReader()
    const got: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += step) {
      const some = reader.push(bytes.slice(at, at + step))
      assert.ok(typeof some !== 'string')
      got.push(...some)
    }
    assert.deepEqual(got, messages, `in steps of ${step}`)
  }
  const reader = new IpcFrameReader()
  assert.equal(reader.push(hex('00100001')), 'too_long')
  assert.equal(reader.push(encodeIpcFrame(hex('0d'))), 'too_long')
  const longest = new IpcFrameReader().push(encodeIpcFrame(new Uint8Array(MAX_IPC_MESSAGE_BYTES)))
  assert.equal((longest as readonly Uint8Array[])[0]!.length, MAX_IPC_MESSAGE_BYTES)
})

test('a truncated daemon message is a fault, as is an unknown one', () => {
  for (const vector of said('daemon')) {
    const message = hex(vector.message!)
    const decoded = decodeIpcMessage(message)
    if (typeof decoded === 'string' || decoded.kind === 'json') continue
    assert.equal(decodeIpcMessage(message.subarray(0, 2)), 'too_short', vector.command)
  }
  assert.equal(decodeIpcMessage(new Uint8Array(0)), 'empty')
  assert.equal(decodeIpcMessage(hex('7f')), 'unknown_command')
})

test('Info, trusted and pending are read from the recorded JSON; what is not JSON is a fault', () => {
  const info = said('daemon')
    .filter(({ command }) => command === 'info ok')
    .map((vector) => parseDaemonInfo(textOf(vector)))
  assert.ok(info.length > 2)
  for (const one of info)
    assert.ok(
      typeof one === 'object' && one.nodeId === 1 && one.address === '0:0000.0000.0001' && one.publicKey.length === 44,
    )
  const busy = info.find((one) => typeof one === 'object' && one.connections.length > 0)
  assert.ok(typeof busy === 'object')
  assert.deepEqual(
    busy.connections.find(({ id }) => id === 4),
    {
      id: 4,
      node: 2,
      state: 'TIME_WAIT',
      unackedBytes: 0,
      peerWindowBytes: 2_097_152,
      bytesSent: 10_005,
      bytesReceived: 8,
    },
  )
  const handshakes = said('daemon')
    .filter(({ command }) => command === 'handshake ok')
    .map(textOf)
  const trusted = handshakes
    .map(parseTrustedReply)
    .filter((list) => list !== 'malformed')
    .flat()
  assert.deepEqual(
    trusted.find(({ mutual }) => mutual),
    {
      nodeId: 2,
      publicKey: 'hd+R2z4jjidGhUwojka8Sgkfl2ixFSkXwmbMMtyxfB0=',
      approvedAt: '2026-11-22T09:55:46.000Z',
      mutual: true,
      network: 0,
    },
  )
  const pending = handshakes
    .map(parsePendingReply)
    .filter((list) => list !== 'malformed')
    .flat()
  assert.deepEqual(pending[0], {
    nodeId: 1,
    publicKey: 'SYBF4UBi9EuCpirswhlayuD8rdPep39lutETF9EaNso=',
    justification: 'let us talk',
    receivedAt: '2026-11-22T09:55:45.000Z',
  })
  for (const parse of [parseDaemonInfo, parseTrustedReply, parsePendingReply])
    for (const text of ['', '[]', 'null', '{"node_id":']) assert.equal(parse(text), 'malformed')
})

function sameMessage(message: IpcMessage, vector: Vector): void {
  switch (message.kind) {
    case 'bind_ok':
      assert.equal(message.port, vector.port)
      return
    case 'dial_ok':
    case 'close_ok':
      assert.equal(message.connection, vector.connection)
      return
    case 'accept':
      assert.deepEqual(
        [message.port, message.connection, formatAddress(message.remote), message.remotePort],
        [vector.port, vector.connection, vector.remote_address, vector.remote_port],
      )
      return
    case 'recv':
      assert.deepEqual([message.connection, message.data.length], [vector.connection, vector.data_length])
      return
    case 'error':
      assert.equal(message.text, vector.text)
      return
    case 'recv_from':
      assert.deepEqual(
        [formatAddress(message.source), message.sourcePort, message.port, message.data.length],
        [vector.source_address, vector.source_port, vector.destination_port, vector.data_length],
      )
      return
    case 'json':
      assert.equal(`${message.to.replaceAll('_', ' ')} ok`, vector.command)
      assert.deepEqual(JSON.parse(message.text), vector.json)
  }
}

function textOf(vector: Vector): string {
  const message = decodeIpcMessage(hex(vector.message!))
  assert.ok(typeof message === 'object' && message.kind === 'json')
  return message.text
}
