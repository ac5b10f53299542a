/** Tags as nodes and members have them (registry.md §3.7). */
import { MAX_TAG_CHARS, MAX_TAGS } from './constants.ts'

/** Without `#` and repetitions, or the refusal. */
export function readTags(sent: readonly string[]): readonly string[] | string {
  if (sent.length > MAX_TAGS) return `too many tags (max ${MAX_TAGS})`
  const tags = [...new Set(sent.map((tag) => tag.replace(/^#/, '')))]
  for (const tag of tags) {
    if (tag.length > MAX_TAG_CHARS)
      return `tag "${tag.slice(0, 2 * MAX_TAG_CHARS)}" too long (max ${MAX_TAG_CHARS} chars)`
    if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(tag)) return 'malformed tag'
  }
  return tags
}
