/**
 * What a probe asks a service, against real ones at the other end of a pipe: Node's HTTP server, and gRPC's own health
 * proto in grpc-js.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { checkHealth } from '../../../../../src/gateway/map/group/health-check.ts'

/** The verdict on what `serve` puts at the far end. */
async function verdict(serve: (far: Duplex) => void, check: Parameters<typeof checkHealth>[1]): Promise<string> {
  const [near, far] = duplexPair()
  far.on('error', () => {})
  serve(far)
  const told = await checkHealth(near, check, 'peer:80').then(
    () => 'well',
    (error: Error) => error.message,
  )
  near.destroy()
  return told
}

test('HTTP: 2xx and 3xx are healthy; other answers, other protocols and the end of the connection are not', async () => {
  for (const [status, expected] of [
    [200, 'well'],
    [204, 'well'],
    [302, 'well'],
    [404, 'peer:80: GET /healthz?deep answers 404'],
    [503, 'peer:80: GET /healthz?deep answers 503'],
  ] as const) {
    const server = createServer((request, response) => {
      assert.deepEqual([request.method, request.url, request.headers.host], ['GET', '/healthz?deep', 'peer:80'])
      response.writeHead(status).end()
    })
    assert.equal(
      await verdict((far) => void server.emit('connection', far), { kind: 'http', path: '/healthz?deep' }),
      expected,
    )
  }
  assert.match(
    await verdict((far) => far.end('220 mail ESMTP\r\n'), { kind: 'http', path: '/' }),
    /GET \/: Parse Error/,
  )
  assert.match(await verdict((far) => far.resume().end(), { kind: 'http', path: '/' }), /GET \/: socket hang up/)
})

test('gRPC: only SERVING, for the requested service, is healthy', async () => {
  const server = healthServer({ '': 'SERVING', 'demo.Greeter': 'NOT_SERVING', 'demo.Other': 'UNKNOWN' })
  const ask = (service: string): Promise<string> =>
    verdict((far) => server.createConnectionInjector(grpc.ServerCredentials.createInsecure()).injectConnection(far), {
      kind: 'grpc',
      service,
    })
  assert.equal(await ask(''), 'well')
  assert.equal(await ask('demo.Greeter'), 'peer:80: the gRPC health check answers NOT_SERVING')
  assert.equal(await ask('demo.Other'), 'peer:80: the gRPC health check answers UNKNOWN')
  assert.equal(await ask('demo.Unheard'), 'peer:80: the gRPC health check ends with status 5')
  server.forceShutdown()
})

test('gRPC: a server without the health service or without HTTP/2, and the end of the connection, are unhealthy', async () => {
  const bare = new grpc.Server()
  assert.equal(
    await verdict(
      (far) => bare.createConnectionInjector(grpc.ServerCredentials.createInsecure()).injectConnection(far),
      { kind: 'grpc', service: '' },
    ),
    'peer:80: the gRPC health check ends with status 12',
  )
  bare.forceShutdown()
  assert.match(
    await verdict((far) => far.resume().write('HTTP/1.1 400 Bad Request\r\n\r\n'), { kind: 'grpc', service: '' }),
    /the gRPC health check (fails|was not)/,
  )
  assert.match(await verdict((far) => far.resume().end(), { kind: 'grpc', service: '' }), /the gRPC health check/)
})

function healthServer(states: Readonly<Record<string, string>>): grpc.Server {
  const proto = grpc.loadPackageDefinition(
    fromJSON(
      {
        nested: {
          grpc: {
            nested: {
              health: {
                nested: {
                  v1: {
                    nested: {
                      HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
                      HealthCheckResponse: {
                        fields: { status: { type: 'ServingStatus', id: 1 } },
                        nested: {
                          ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
                        },
                      },
                      Health: {
                        methods: {
                          Check: {
                            requestType: 'HealthCheckRequest',
                            responseType: 'HealthCheckResponse',
                            comment: '',
                          },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
      { defaults: true },
    ),
  ) as unknown as { grpc: { health: { v1: { Health: { service: grpc.ServiceDefinition } } } } }
  const server = new grpc.Server()
  server.addService(proto.grpc.health.v1.Health.service, {
    Check: ({ request }: { request: { service: string } }, reply: grpc.sendUnaryData<object>): void => {
      const status = states[request.service]
      if (status === undefined) reply({ code: grpc.status.NOT_FOUND })
      else reply(null, { status })
    },
  })
  return server
}
