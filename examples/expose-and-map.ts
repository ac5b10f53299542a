// Two gateways in one process: one exposes a local TCP service, the other maps it to a local address.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createGateway, startRendezvous, silentLogger } from 'pilotgate'
import { introduce } from 'pilotgate/testing'

const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
const where = { registry: rendezvous.registry, beacon: rendezvous.beacon, listen: '127.0.0.1:0', ephemeral: true }

// Any TCP service on this machine.
const service = createServer((socket) => socket.on('error', () => {}).end('hello over TCP\n')).listen(0, '127.0.0.1')
await once(service, 'listening')
const { port } = service.address() as AddressInfo

// The notation is that of `pilotgate up --expose` and `--map`. Between machines `trust` names the other side; here
// introduce does it.
const exposing = await createGateway({ ...where, hostname: 'agent-b', expose: [`7=127.0.0.1:${port}`] })
const mapping = await createGateway({ ...where, hostname: 'agent-a', map: ['127.0.0.1:0:agent-b:7'] })
await introduce(mapping.overlay, exposing.overlay)

const local = mapping.mappings()[0]!.local
console.log(`agent-b:7 is ${local.replace(/\d+$/, 'PORT')} here`)
const [host, localPort] = local.split(':')
console.log((await text(connect(Number(localPort), host))).trim())

await mapping.stop(1_000)
await exposing.stop(1_000)
await rendezvous.stop()
service.close()
