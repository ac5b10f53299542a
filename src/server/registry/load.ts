/** Reads the records of a store into the tables, in dependency order. */
import type { StoredRecord } from '../store/store.ts'
import type { Call } from './request.ts'
import { Fields } from './fields.ts'

type Tables = Pick<Call, 'directory' | 'trust' | 'networks' | 'mailboxes' | 'invites' | 'audit'>

interface Entry {
  readonly kind: string
  readonly name: string
  readonly fields: Fields
}

/**
 * Accounts before nodes, networks before members, members as they joined, messages in order of time. @returns The
 * number of malformed records.
 */
export function loadTables(tables: Tables, records: readonly StoredRecord[]): number {
  const entries = records.map(({ key, value }): Entry => {
    const slash = key.indexOf('/')
    const fields = new Fields(typeof value === 'object' && value !== null ? value : {})
    return { kind: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1), fields }
  })
  const first = entries.filter(({ kind }) => FIRST.has(kind))
  const members = entries
    .filter(({ kind }) => kind === 'member')
    .sort((a, b) => a.fields.number('order') - b.fields.number('order'))
  const others = entries
    .filter(({ kind }) => kind !== 'member' && !FIRST.has(kind))
    .sort((a, b) => a.fields.milliseconds('atMs') - b.fields.milliseconds('atMs'))
  let skipped = 0
  for (const entry of [...first, ...members, ...others]) if (loadOne(tables, entry) === false) skipped++
  tables.audit.loaded()
  return skipped
}

/** @returns False for a malformed record; undefined for one that is fine or ignored. */
function loadOne(tables: Tables, { kind, name, fields }: Entry): boolean | undefined {
  switch (kind) {
    case 'account':
      return tables.directory.loadAccount(idOf(name), fields)
    case 'network':
      return tables.networks.loadNetwork(idOf(name), fields)
    case 'networks':
      return void tables.networks.loadNextId(fields.number('nextId'))
    case 'member':
      return tables.networks.loadMember(name, fields)
    case 'node':
      return tables.directory.loadLive(idOf(name), fields)
    case 'nodes':
      return void tables.directory.loadNextId(fields.number('nextId'))
    case 'trust':
      return tables.trust.load(name, fields)
    case 'request':
    case 'response':
      return tables.mailboxes.load(kind, name, fields)
    case 'invite':
      return tables.invites.load(name, fields)
    case 'audit':
      return tables.audit.load(fields)
    default:
      return undefined
  }
}

function idOf(name: string): number {
  const id = /^\d{1,10}$/.test(name) ? Number(name) : 0
  return id <= 0xffff_fffe ? id : 0
}

const FIRST: ReadonlySet<string> = new Set(['account', 'network'])
