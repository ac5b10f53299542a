/** One role of a benchmark in a process of its own: `node --import tsx bench/child.ts ROLE [PORT]` prints its port. */
import { startEcho, startSource, startTcpProxy } from './peers.ts'

const [role, target] = process.argv.slice(2)
const started = role === 'source' ? await startSource() : role === 'echo' ? await startEcho() : await startTcpProxy(Number(target))
process.stdout.write(`${started.port}\n`)
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
