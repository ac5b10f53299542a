/**
 * Who has a tag. The configuration is authoritative for the tags used in it; nodes claim all others at the registry.
 */
import { parseAllow, tagOf } from './allow.ts'
import type { ExposeSpec } from './expose-spec.ts'
import { type MapSpec, peersOf } from './map-spec.ts'
import type { GatewayOptions } from './options.ts'

/** The Ed25519 keys (base64) for each tag in the configuration. */
export type ConfiguredTags = ReadonlyMap<string, ReadonlySet<string>>

export function configuredTags(pinned: GatewayOptions['pinned']): ConfiguredTags {
  const keys = new Map<string, Set<string>>()
  for (const { key, tags = [] } of Object.values(pinned))
    for (const tag of tags) keys.set(tag, (keys.get(tag) ?? new Set()).add(key))
  return keys
}

/** Tags that mappings and allow-lists name but the configuration does not assign: trusted peers can claim them. */
export function selfAssignedTags(
  tags: ConfiguredTags,
  maps: readonly MapSpec[],
  exposes: readonly ExposeSpec[],
): readonly string[] {
  const mapped = maps.flatMap(({ peer }) => peersOf(peer).flatMap((each) => tagOf(each) ?? []))
  const allowed = exposes.flatMap(({ allow }) =>
    allow.flatMap((entry) => {
      const parsed = parseAllow(entry)
      return parsed?.kind === 'tag' ? [parsed.tag] : []
    }),
  )
  return [...new Set([...mapped, ...allowed])].filter((tag) => !tags.has(tag))
}
