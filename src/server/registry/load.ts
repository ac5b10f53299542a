/** Reads the records of a store into the tables, one kind after the other: a million nodes are never in memory twice. */
import type { RegistryStore, StoredRecord } from '../store/store.ts'
import type { Call } from './request.ts'
import { Fields } from './fields.ts'

type Tables = Pick<Call, 'directory' | 'trust' | 'networks' | 'mailboxes' | 'invites' | 'audit'>

/** @returns The number of malformed records. */
export function loadTables(tables: Tables, store: RegistryStore, now: number): number {
  const { directory, trust, networks, mailboxes, invites, audit } = tables
  let skipped = 0
  const read = (records: Iterable<StoredRecord>, load: (name: string, fields: Fields) => boolean | void): void => {
    for (const { key, value } of records) {
      const fields = new Fields(typeof value === 'object' && value !== null ? value : {})
      if (load(key.slice(key.indexOf('/') + 1), fields) === false) skipped++
    }
  }
  const inOrder = (kind: string, field: string): StoredRecord[] =>
    [...store.load(kind)].sort((a, b) => numberIn(a, field) - numberIn(b, field))

  read(store.load('account/'), (name, fields) => directory.loadAccount(idOf(name), fields))
  read(store.load('nodes/'), (_, fields) => directory.loadNextId(fields.number('nextId')))
  read(store.load('node/'), (name, fields) => directory.loadLive(now, idOf(name), fields))
  read(store.load('network/'), (name, fields) => networks.loadNetwork(idOf(name), fields))
  read(store.load('networks/'), (_, fields) => networks.loadNextId(fields.number('nextId')))
  read(inOrder('member/', 'order'), (name, fields) => networks.loadMember(name, fields))
  read(store.load('trust/'), (name, fields) => trust.load(name, fields))
  for (const kind of ['request', 'response'] as const)
    read(inOrder(`${kind}/`, 'atMs'), (name, fields) => mailboxes.load(kind, name, fields))
  read(inOrder('invite/', 'atMs'), (name, fields) => invites.load(name, fields))
  read(inOrder('audit/', 'atMs'), (_, fields) => audit.load(fields))
  read(store.load('damaged/'), () => false)
  audit.loaded()
  return skipped
}

function numberIn({ value }: StoredRecord, field: string): number {
  const number = (value as Readonly<Record<string, unknown>> | null | undefined)?.[field]
  return typeof number === 'number' ? number : 0
}

function idOf(name: string): number {
  const id = /^\d{1,10}$/.test(name) ? Number(name) : 0
  return id <= 0xffff_fffe ? id : 0
}
