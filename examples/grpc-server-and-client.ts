// A @grpc/grpc-js server on an overlay port, and an ordinary client for pilot://agent-2:50051.
import * as grpc from '@grpc/grpc-js'
import { registerPilotResolver, serveGrpc } from 'pilotgate'
import { testnet } from 'pilotgate/testing'

// What protoc or @grpc/proto-loader would make of a .proto file.
const json = {
  serialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  deserialize: (bytes: Buffer) => JSON.parse(String(bytes)) as unknown,
}
const method = (path: string, responseStream: boolean) => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: json.serialize,
  requestDeserialize: json.deserialize,
  responseSerialize: json.serialize,
  responseDeserialize: json.deserialize,
})
const greeter = { greet: method('/demo.Greeter/Greet', false), count: method('/demo.Greeter/Count', true) }

const net = await testnet({ nodes: 2 })
const [alice, bob] = [net.nodes[0]!, net.nodes[1]!]

const server = new grpc.Server()
server.addService(greeter, {
  // pilot-hostname, pilot-node and pilot-address come from the tunnel, whatever the client sends.
  greet: (call: grpc.ServerUnaryCall<{ text: string }, unknown>, reply: grpc.sendUnaryData<unknown>) =>
    reply(null, { text: `${call.request.text}, ${call.metadata.get('pilot-hostname')[0]}` }),
  count: (call: grpc.ServerWritableStream<{ to: number }, unknown>) => {
    for (let value = 1; value <= call.request.to; value++) call.write({ value })
    call.end()
  },
})
await serveGrpc(bob, 50_051, server, grpc)

const resolver = registerPilotResolver(grpc, alice)
const Greeter = grpc.makeGenericClientConstructor(greeter, 'Greeter')
// A proxy from the environment is meant for the internet.
const client = new Greeter('pilot://agent-2:50051', grpc.credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })

const greet = client['greet']!.bind(client)
const reply = await new Promise((resolve, reject) =>
  greet({ text: 'hello' }, { deadline: Date.now() + 5_000 }, (error: grpc.ServiceError | null, value: unknown) =>
    error === null ? resolve(value) : reject(error),
  ),
)
console.log(reply)
for await (const message of client['count']!.call(client, { to: 3 }) as AsyncIterable<{ value: number }>)
  console.log(message.value)

client.close()
server.forceShutdown()
resolver.close()
await net.stop()
