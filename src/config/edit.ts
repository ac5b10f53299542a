/** Single edits of a configuration file's text: everything else, especially comments, is preserved. */
import { isDeepStrictEqual } from 'node:util'
import { isMap, isSeq, parseDocument, stringify } from 'yaml'
import type { Document, Node, Pair, YAMLSeq } from 'yaml'
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
  const cut = entries.length === 1 ? undefined : withoutLines(text, list.items[at] as Node)
  if (entries.length === 1) doc.delete(section)
  else list.delete(at)
  return closest(cut, doc)
}

function added(text: string, section: 'map' | 'expose', entry: object): string {
  const doc = parseDocument(text)
  const node = doc.createNode(entry, { flow: true })
  const list = doc.get(section)
  const line = `- ${stringify(node, { lineWidth: 0 }).trimEnd()}`
  const inserted = isSeq(list) ? withLine(text, list, line) : withSection(text, doc, section, line)
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
  return closest(inserted, doc)
}

/** The author's text with only these lines changed, if that means the same as the changed document. */
function closest(lines: string | undefined, doc: Document): string {
  if (lines !== undefined) {
    const read = parseDocument(lines)
    if (read.errors.length === 0 && isDeepStrictEqual(read.toJS(), doc.toJS())) return lines
  }
  return doc.toString({ lineWidth: 0 }) // do not fold long lines of the author
}

/** After the last item of a list in block style, indented like it. */
function withLine(text: string, list: YAMLSeq, line: string): string | undefined {
  const last = list.items.at(-1) as Node | undefined
  if (list.flow === true || !last?.range) return undefined
  const [start, end] = [dashBefore(text, last.range[0]), lineEnd(text, last.range[1])]
  if (start === undefined) return undefined
  const indent = text.slice(text.lastIndexOf('\n', start) + 1, start)
  return `${text.slice(0, end)}${text.slice(0, end).endsWith('\n') ? '' : '\n'}${indent}${line}\n${text.slice(end)}`
}

/** At the end of the file, unless the section is there without entries. */
function withSection(text: string, doc: Document, section: string, line: string): string | undefined {
  if (doc.has(section)) return undefined
  return `${text.trimEnd()}\n\n${section}:\n  ${line}\n`
}

function withoutLines(text: string, { range }: Node): string | undefined {
  const dash = range ? dashBefore(text, range[0]) : undefined
  if (dash === undefined) return undefined
  const start = text.lastIndexOf('\n', dash) + 1
  return text.slice(0, start) + text.slice(lineEnd(text, range![1]))
}

/** The `-` of a block item whose value starts at `at`; undefined if something else is in front of it. */
function dashBefore(text: string, at: number): number | undefined {
  const [, spaces] = /-([ \t]+)$/.exec(text.slice(0, at)) ?? []
  const dash = spaces === undefined ? -1 : at - spaces.length - 1
  return dash >= 0 && text.slice(text.lastIndexOf('\n', dash) + 1, dash).trim() === '' ? dash : undefined
}

/** Behind the end of the line that `at` is on; the end of a value may be at the start of the next line. */
function lineEnd(text: string, at: number): number {
  const newline = text.indexOf('\n', text[at - 1] === '\n' ? at - 1 : at)
  return newline < 0 ? text.length : newline + 1
}
