// An HTTP server on an overlay port, and a client that requests from it by name. No TCP port is opened on either side.
import { createServer, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { callerOf, PilotAgent, serveHttp } from 'pilotgate'
import { testnet } from 'pilotgate/testing'

// An overlay to play with: agent-1 and agent-2 trust each other. A real program has `await createNode({ registry, beacon, … })` instead.
const net = await testnet({ nodes: 2 })
const [alice, bob] = [net.nodes[0]!, net.nodes[1]!]

// bob serves. The tunnel has authenticated the caller: callerOf is reliable, headers are not.
const server = createServer((request, response) => response.end(`hello, ${callerOf(request)?.name}\n`))
await serveHttp(bob, 80, server, { allow: ({ name }) => name === 'agent-1' })

// alice asks. Connections are kept alive and pooled, as with any agent.
const agent = new PilotAgent(alice)
const asked = request('http://agent-2.pilot/', { agent }).end()
const [response] = (await once(asked, 'response')) as [IncomingMessage]
console.log(response.statusCode, await text(response))

agent.destroy()
await net.stop()
