/** gRPC with @grpc/grpc-js: an echo, and a stream of 64 KB messages. Raw bytes: no codec is measured. */
import { Client, Server, ServerCredentials, credentials } from '@grpc/grpc-js'
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js'
import { BLOCK } from './pump.ts'
import { MESSAGE_BYTES, countAt, countBytes } from './protocol.ts'
import type { Target } from './tcp-client.ts'

export async function startGrpcServer(host: string): Promise<Record<string, unknown>> {
  const server = new Server()
  server.addService(
    {
      echo: { path: ECHO, requestStream: false, responseStream: false, ...AS_IT_IS },
      pull: { path: PULL, requestStream: false, responseStream: true, ...AS_IT_IS },
    },
    {
      echo: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request),
      pull: (call: ServerWritableStream<Buffer, Buffer>) => pull(call),
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:0`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return { grpc: port }
}

function pull(call: ServerWritableStream<Buffer, Buffer>): void {
  let left = countAt(call.request, 0)
  const go = (): void => {
    while (left > 0) {
      const piece = left < MESSAGE_BYTES ? BLOCK.subarray(0, left) : BLOCK
      left -= piece.length
      if (!call.write(piece) && left > 0) return void call.once('drain', go)
    }
    call.end()
  }
  go()
}

export class GrpcClient {
  readonly #client: Client

  constructor({ host, port }: Target) {
    // A separate channel each time: otherwise grpc-js shares one connection among all clients of an address.
    this.#client = new Client(`${host}:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
    })
  }

  async echo(message: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#client.makeUnaryRequest(ECHO, asItIs, asItIs, message, (error, answer) => {
        if (error !== null) reject(error)
        else if (answer?.length !== message.length)
          reject(new Error(`${answer?.length} of ${message.length} bytes came back`))
        else resolve()
      })
    })
  }

  async pull(bytes: number): Promise<void> {
    let got = 0
    await new Promise<void>((resolve, reject) => {
      const call = this.#client.makeServerStreamRequest(PULL, asItIs, asItIs, countBytes(bytes))
      call.on('data', (piece: Buffer) => {
        got += piece.length
      })
      call.on('end', () => (got === bytes ? resolve() : reject(new Error(`${got} of ${bytes} bytes arrived`))))
      call.on('error', reject)
    })
  }

  close(): void {
    this.#client.close()
  }
}

function asItIs(bytes: Buffer): Buffer {
  return bytes
}

const AS_IT_IS = {
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
}
const ECHO = '/bench.Bench/Echo'
const PULL = '/bench.Bench/Pull'
