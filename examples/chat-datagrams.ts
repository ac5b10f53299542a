// A chat over datagrams: like UDP, delivered whole or not at all, in any order, maybe lost; but encrypted, and with an
// authentic sender.
import { setTimeout as sleep } from 'node:timers/promises'
import { testnet } from 'pilotgate/testing'

const CHAT_PORT = 4_000
const net = await testnet({ nodes: 3 })

// Every node listens, and prints who said what.
const heard = new Set<string>()
const ports = await Promise.all(
  net.nodes.map(
    async (node) =>
      await node.datagrams(CHAT_PORT, (bytes, from) => {
        heard.add(`${node.hostname} hears ${node.hostnameOf(from)}: ${Buffer.from(bytes).toString()}`)
      }),
  ),
)

// agent-1 sends to all others until they have received it: nothing else repeats a datagram.
for (let round = 0; round < 20 && heard.size < 2; round++) {
  for (const peer of ['agent-2', 'agent-3']) await ports[0]!.send(peer, CHAT_PORT, Buffer.from('hello'))
  await sleep(50)
}
for (const line of [...heard].sort()) console.log(line)

// A datagram has to fit one packet.
await ports[0]!
  .send('agent-2', CHAT_PORT, Buffer.alloc(100_000))
  .catch((error: { code: string }) => console.log(error.code))

for (const port of ports) port.close()
await net.stop()
