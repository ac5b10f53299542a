/** What the kernel knows about a process: CPU time and memory. Linux only; elsewhere both are NaN. */
import { readFileSync } from 'node:fs'

/** User and system time of these processes so far, seconds. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) =>
      sum +
      one(`/proc/${pid}/stat`, (text) => {
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ') // the name in front may hold anything
        return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
      }),
    0,
  )
}

/** Resident memory of these processes, bytes. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + one(`/proc/${pid}/status`, (text) => Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) * 1_024),
    0,
  )
}

/** The part of it that the system cannot take back by dropping a file from its cache, bytes. */
export function anonymousBytes(pid: number): number {
  return one(`/proc/${pid}/status`, (text) => Number(/RssAnon:\s+(\d+)/.exec(text)?.[1]) * 1_024)
}

function one(path: string, read: (text: string) => number): number {
  try {
    return read(readFileSync(path, 'utf8'))
  } catch {
    return Number.NaN
  }
}

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
