/** Endpoints as text, and which addresses are this machine. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatEndpoint, isLoopback, parseEndpoint, sameEndpoint } from '../../../src/base/types.ts'

test('endpoints are parsed and formatted, IPv6 in brackets', () => {
  for (const text of ['1.2.3.4:5', '[::1]:65535', '[2001:db8::7]:18104', 'host:80']) {
    const endpoint = parseEndpoint(text)
    assert.ok(endpoint, text)
    assert.equal(formatEndpoint(endpoint), text)
  }
  for (const text of [
    '',
    '1.2.3.4',
    '1.2.3.4:',
    ':80',
    '::1:80',
    '1.2.3.4:65536',
    '1.2.3.4:-1',
    '1.2.3.4:x',
    '[::1]',
    'a b:1',
  ]) {
    assert.equal(parseEndpoint(text), undefined, text)
  }
})

test('endpoints are equal only if both are present and both parts agree', () => {
  const one = { address: '1.2.3.4', port: 5 }
  assert.ok(sameEndpoint(one, { ...one }))
  assert.ok(!sameEndpoint(one, { ...one, port: 6 }) && !sameEndpoint(one, { ...one, address: '1.2.3.5' }))
  assert.ok(!sameEndpoint(undefined, undefined) && !sameEndpoint(one, undefined))
})

test('only 127.0.0.0/8, ::1 and localhost are this machine', () => {
  for (const text of ['127.0.0.1', '127.255.0.9', '::1', 'localhost']) assert.ok(isLoopback(text), text)
  for (const text of ['128.0.0.1', '0.0.0.0', '::', '127.0.0.1.example.org', '::ffff:127.0.0.1', 'x127.0.0.1'])
    assert.ok(!isLoopback(text), text)
})
