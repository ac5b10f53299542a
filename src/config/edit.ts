/** Single edits of a configuration file's text: everything else, especially comments, is preserved. */
import { isMap, isSeq, parseDocument } from 'yaml'
import type { Document, Pair, YAMLSeq } from 'yaml'
import { PilotError } from '../base/errors.ts'
import { formatDuration } from '../gateway/model/duration.ts'
import type { ExposeSpec } from '../gateway/model/expose-spec.ts'
import { formatListen } from '../gateway/model/listen.ts'
import { type MapSpec, peersOf } from '../gateway/model/map-spec.ts'
import { Config } from './schema.ts'
import { exposesOf, mapsOf, withOwnNames } from './options.ts'

/** @returns the text with this mapping added at the end of `map`. */
export function withMapping(
  text: string,
  { name, peer, port, protocol, localAddress, localPort, path, host, clients, balance, probe, check }: MapSpec,
  named: boolean,
): string {
  const entry = {
    ...(named && { name }),
    peer: peersOf(peer).length > 1 ? [...peersOf(peer)] : peer,
    port: portText(port, protocol),
    ...(localAddress !== undefined && { local: formatListen(localAddress, localPort) }),
    ...(path !== undefined && { path }),
    ...(host !== undefined && { host }),
    ...(clients !== undefined && { clients: [...clients] }),
    ...(balance !== undefined && { balance }),
    ...(probe !== undefined && {
      probe:
        check === undefined
          ? probe
          : { every: probe, ...(check.kind === 'http' ? { http: check.path } : { grpc: check.service }) },
    }),
  }
  return added(text, 'map', entry)
}

/** @returns the text with this exposure added at the end of `expose`. */
export function withExposure(
  text: string,
  { name, port, protocol, target, allow, path, identity, host, limits, forMs, once, unsafeTarget }: ExposeSpec,
  named: boolean,
): string {
  const everyone = allow.length === 1 && allow[0] === 'trusted'
  return added(text, 'expose', {
    ...(named && { name }),
    port: portText(port, protocol),
    target: target.text,
    ...(!everyone && { allow: [...allow] }),
    ...(path !== undefined && { path }),
    ...(identity !== undefined && { identity: [...identity] }),
    ...(host !== undefined && { host }),
    ...(limits !== undefined && { limits: { ...limits } }),
    ...(forMs !== undefined && { for: formatDuration(forMs) }),
    ...(once === true && { once }),
    ...(unsafeTarget === true && { unsafeTarget }),
  })
}

function portText(port: number, protocol: MapSpec['protocol']): number | string {
  return protocol === 'udp' ? `${port}/udp` : port
}

/**
 * @returns the text without the entry that makes the mapping or exposure `name`.
 * @throws PilotError NOT_FOUND if there is none, USAGE if the entry makes several.
 */
export function without(text: string, section: 'map' | 'expose', name: string): string {
  const doc = parseDocument(text)
  const list = doc.get(section)
  const entries = (doc.toJS() as { readonly [key: string]: readonly object[] | undefined })[section] ?? []
  // Which entry makes which names: default names are numbered over the whole file, in its order.
  const config = Config.parse({ version: 1, [section]: entries })
  const owners = config[section].flatMap((_, index) => {
    const one = { ...config, map: config.map.slice(index, index + 1), expose: config.expose.slice(index, index + 1) }
    return (section === 'map' ? mapsOf(one) : exposesOf(one)).map(() => index)
  })
  const names = (section === 'map' ? withOwnNames(mapsOf(config)) : exposesOf(config)).map((spec) => spec.name)
  const at = owners[names.indexOf(name)] ?? -1
  if (at < 0 || !isSeq(list))
    throw new PilotError(
      'NOT_FOUND',
      `the file has no ${section} entry "${name}"`,
      { name },
      undefined,
      'It comes from a flag, a variable or a command; leave out --save.',
    )
  if (owners.filter((owner) => owner === at).length > 1)
    throw new PilotError(
      'USAGE',
      `"${name}" is part of an entry with several ports; edit that entry in the file by hand`,
      { name },
    )
  if (entries.length === 1) doc.delete(section)
  else list.delete(at)
  return print(doc)
}

function added(text: string, section: 'map' | 'expose', entry: object): string {
  const doc = parseDocument(text)
  const node = doc.createNode(entry, { flow: true })
  const list = doc.get(section)
  if (isSeq(list)) list.add(node)
  else {
    const fresh = doc.createNode([]) as YAMLSeq
    fresh.flow = false
    fresh.add(node)
    if (isMap(doc.contents)) doc.set(section, fresh)
    else throw new PilotError('CONFIG_INVALID', 'the file is not a mapping of keys to values')
    const pair = doc.contents.items.at(-1) as Pair<{ spaceBefore?: boolean }>
    if (typeof pair.key === 'object') pair.key.spaceBefore = true
  }
  return print(doc)
}

function print(doc: Document): string {
  return doc.toString({ lineWidth: 0 }) // do not fold long lines of the author
}
