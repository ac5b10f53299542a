/** One role in its own process: prints one JSON line when ready, and runs until killed. */
import { startGrpcServer } from './grpc.ts'
import { startNatsResponder } from './nats.ts'
import { startProxy } from './proxy.ts'
import type { ProxyKind } from './proxy.ts'
import { startService } from './service.ts'
import { serveOrders } from './client.ts'

const [role = '', ...args] = process.argv.slice(2)

async function start(): Promise<Record<string, unknown>> {
  const [host = '', dir = '', ...rest] = args
  switch (role) {
    case 'service':
      return await startService(host)
    case 'grpc':
      return await startGrpcServer(host)
    case 'nats':
      return await startNatsResponder({ host, port: Number(dir) })
    case 'client':
      serveOrders(host)
      return {}
    default:
      return await startProxy(role as ProxyKind, host, dir, rest)
  }
}

process.stdout.write(`${JSON.stringify({ event: 'ready', ...(await start()) })}\n`)
