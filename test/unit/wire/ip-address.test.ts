/** IP addresses: one canonical form each, and no guessing at invalid ones. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { toHex } from '../../../src/base/bytes.ts'
import { decodeIp, encodeIp } from '../../../src/wire/ip-address.ts'
import { hex } from '../../vectors/load.ts'

test('IPv6 is written as in RFC 5952', () => {
  const texts = {
    '00000000000000000000000000000000': '::',
    '00000000000000000000000000000001': '::1',
    '00010000000000000000000000000000': '1::',
    '20010db8000000000000000000000001': '2001:db8::1',
    '20010db8000100010001000100010001': '2001:db8:1:1:1:1:1:1',
    '20010db8000000010001000100010001': '2001:db8:0:1:1:1:1:1', // one zero group is not shortened (§4.2.2)
    '20010db8000000000001000000000001': '2001:db8::1:0:0:1', // of equal runs the first (§4.2.3)
    '20010000000000010000000000000001': '2001:0:0:1::1', // the longest run
    fe80000000000000abcdef0123456789: 'fe80::abcd:ef01:2345:6789',
    '00000001000200030004000500060007': '0:1:2:3:4:5:6:7',
    '0000000000000000000000000000ffff': '::ffff',
  }
  for (const [bytes, text] of Object.entries(texts)) {
    assert.equal(decodeIp(hex(bytes), 0, 16), text)
    assert.equal(toHex(encodeIp(text) ?? hex('')), bytes, text)
  }
})

test('other spellings of an address give the same bytes', () => {
  const spellings: [string, string][] = [
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['fe80::1%eth0', 'fe80::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['0::', '::'],
    ['::0', '::'],
  ]
  for (const [text, canonical] of spellings) {
    const bytes = encodeIp(text)
    assert.ok(bytes?.length === 16, text)
    assert.equal(decodeIp(bytes, 0, 16), canonical)
  }
})

test('IPv4-mapped IPv6 becomes IPv4 in both directions', () => {
  for (const text of ['::ffff:203.0.113.7', '::ffff:cb00:7107', '0:0:0:0:0:FFFF:203.0.113.7']) {
    assert.equal(toHex(encodeIp(text) ?? hex('')), 'cb007107', text)
  }
  assert.equal(decodeIp(hex('00000000000000000000ffffcb007107'), 0, 16), '203.0.113.7')
  assert.equal(decodeIp(hex('aacb007107'), 1, 4), '203.0.113.7')
})

test('anything but an address is refused', () => {
  const bad = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.-4',
    ' 1.2.3.4',
    '1.2.3.4 ',
    'localhost',
    '0x7f.0.0.1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    '[::1]',
    '1:2',
    '%eth0',
    ':1:2:3:4:5:6:7',
  ]
  for (const text of bad) {
    assert.equal(encodeIp(text), undefined, text)
    assert.equal(isIP(text), 0, `${text}: and the platform agrees`)
  }
})
