/** The text of a gRPC status: what its clients undo is exactly what we encode. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grpcMessage } from '../../../../src/gateway/http/failure.ts'

test('printable ASCII stays as it is, and everything else is undone by decodeURI, which clients in JavaScript use', () => {
  assert.equal(grpcMessage('peer:80: no node (NOT_FOUND)'), 'peer:80: no node (NOT_FOUND)')
  for (const text of ['Grüße, 50 % weiter', 'a\nb\tc', '日本 🙂', '~!@#$^&*()[]{};:?/'])
    assert.equal(decodeURIComponent(grpcMessage(text)), text)
  for (const text of ['Grüße', '日本 🙂', 'a:b/c?d=e&f']) assert.equal(decodeURI(grpcMessage(text)), text)
  assert.match(grpcMessage('\uD800x'), /^%EF%BF%BDx$/, 'half of a surrogate pair does not throw')
})
