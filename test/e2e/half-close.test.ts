/**
 * Each direction of a connection ends on its own, as in TCP. Every test runs in both directions: agent-a as the client
 * of agent-b's services, and the reverse.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { pair, pause, Stage } from './harness.ts'
import type { Address, Pair } from './harness.ts'
import {
  echo,
  ending,
  everything,
  lateAnswer,
  noise,
  open,
  passive,
  Sink,
  some,
  summaryOf,
  talk,
  within,
} from './servers.ts'
import type { Service } from './servers.ts'

const DIRECTIONS = [
  ['a', 'agent-b'],
  ['b', 'agent-a'],
] as const
const PORTS = { late: 80, echo: 81, passive: 82 } as const

let stage: Stage
let gateways: Pair
let quiet: Service

before(async () => {
  stage = await Stage.open()
  quiet = await passive(stage)
  const services = { late: await lateAnswer(stage), echo: await echo(stage), passive: quiet }
  const expose = Object.entries(PORTS).map(([name, port]) => `${port}=${services[name as keyof typeof PORTS].address}`)
  const map = (peer: string): string[] => Object.values(PORTS).map((port) => `0:${peer}:${port}`)
  gateways = await pair(stage, { map: map('agent-b'), expose }, { map: map('agent-a'), expose })
})
after(async () => stage.close())

for (const [from, to] of DIRECTIONS) {
  const local = (service: keyof typeof PORTS): Address => gateways[from].local(`${to}:${PORTS[service]}`)

  test(`a client's FIN reaches a service of ${to} that answers only after it`, async () => {
    // The service digests until it sees the end; its answer needs the other direction, which must still be open.
    const sent = noise(3_000_000)
    assert.equal((await talk(stage, local('late'), sent)).toString(), summaryOf(sent))
    assert.equal((await talk(stage, local('late'), Buffer.from('x'))).toString(), summaryOf(Buffer.from('x')))
  })

  test(`a connection to ${to} closed at once without a byte closes cleanly on both sides`, async () => {
    // The service counts zero bytes and reports it; with the passive service neither side ever sends anything.
    assert.equal((await talk(stage, local('late'), Buffer.alloc(0))).toString(), summaryOf(Buffer.alloc(0)))
    const { client, server } = await both(local('passive'))
    client.end()
    assert.equal(await ending(server), 'end')
    server.end()
    assert.equal(await ending(client), 'end')
  })

  test(`a service of ${to} that ends first still gets everything its client sends`, async () => {
    // The client sees the end, sends 2 MB in parts, then ends: the service must get all of it. Twenty times, because
    // failures here need the last bytes to be in flight after both sides have sent FIN.
    const sent = noise(2_000_000, 2)
    for (let round = 0; round < 20; round++) {
      const { client, server } = await both(local('passive'))
      const sink = new Sink(server)
      server.end('bye')
      assert.equal((await everything(client)).toString(), 'bye')
      for (let at = 0; at < sent.length; at += 100_000) client.write(sent.subarray(at, at + 100_000))
      client.end()
      assert.equal(await ending(server), 'end')
      assert.equal(sink.summary, summaryOf(sent), `round ${round}`)
    }
  })

  test(`a client of ${to} that ended its side gets a long answer complete`, async () => {
    // The echo has up to 5 MB in flight after both FINs: none of it may be lost. Four at once, in many sizes.
    for (let size = 250_000; size <= 5_000_000; size *= 1.35) {
      const sent = noise(Math.round(size), 3)
      const replies = await Promise.all([1, 2, 3, 4].map(() => talk(stage, local('echo'), sent, 30_000)))
      for (const reply of replies) assert.equal(summaryOf(reply), summaryOf(sent))
    }
  })

  test(`an idle half-closed connection to ${to} stays up until it is used again`, async () => {
    // Nothing is sent for a second after the client's FIN; then the service sends twice and ends.
    const { client, server } = await both(local('passive'))
    client.end('question')
    server.resume()
    await within(
      'the end of the question',
      new Promise((resolve) => {
        server.once('end', resolve)
      }),
    )
    await pause(1_000)
    server.write('one')
    assert.equal((await some(client)).toString(), 'one')
    const rest = everything(client)
    server.end('two')
    assert.equal((await rest).toString(), 'two')
  })
}

/** Both ends of one new connection to the passive service. */
async function both(to: Address): Promise<{ readonly client: Socket; readonly server: Socket }> {
  const server = quiet.next()
  const client = await open(stage, to)
  return { client, server: await server }
}
