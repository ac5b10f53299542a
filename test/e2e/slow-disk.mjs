/** Preloaded into a program by NODE_OPTIONS: a disk on which every flush takes as long as on a busy spinning one. */
import { open } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

const handle = await open('/dev/null')
const proto = Object.getPrototypeOf(handle)
await handle.close()
const { sync } = proto
proto.sync = async function () {
  await pause(FLUSH_MS)
  await sync.call(this)
}

const FLUSH_MS = 150
