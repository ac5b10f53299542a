/** How much memory a local client can make the responder use. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { encode } from 'dns-packet'
import { DnsResponder } from '../../../../src/gateway/fronts/dns.ts'
import type { Zone } from '../../../../src/gateway/fronts/dns-answers.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'

const zone: Zone = {
  domain: 'pilot',
  find: async (peer) => ({ peer, node: 1, local: '127.77.0.1' }),
  mapUsualPorts: async () => {},
  mappedOf: () => [],
  peerAt: () => undefined,
  dnsNameOf: () => undefined,
}

/** A TCP query whose answer is larger, so that answers pile up first. */
function question(): Buffer {
  const message = encode({
    type: 'query',
    id: 1,
    flags: 0,
    questions: [{ type: 'TXT', name: `${'a'.repeat(60)}.pilot` }],
  })
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message])
}

test('a TCP client that stops reading its answers is no longer read from', async () => {
  const responder = new DnsResponder(zone, silentLogger)
  await responder.start({ address: '127.0.0.1', port: 0 }, false)
  const client = connect(Number(responder.local.split(':')[1]), '127.0.0.1').pause()
  client.on('error', () => {})
  const questions = Buffer.concat(Array.from({ length: 1_000 }, question))
  // as many as the system's buffers take while nothing is read
  let sent = 0
  while (sent < 500_000 && (await wasTaken(() => client.write(questions), client))) sent += 1_000
  let answered = -1
  while (answered !== responder.counters.dns_questions) {
    answered = responder.counters.dns_questions
    await new Promise((resolve) => setTimeout(resolve, 300)) // until nothing more happens
  }
  responder.stop()
  client.destroy()
  assert.ok(sent - answered > 5_000, `${answered} of ${sent} questions were answered to a client that reads nothing`)
})

/** @returns false if the other side has stopped reading. */
async function wasTaken(write: () => boolean, client: ReturnType<typeof connect>): Promise<boolean> {
  if (write()) return true
  return await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), 1_000)
    client.once('drain', () => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
