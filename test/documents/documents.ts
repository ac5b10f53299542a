/** The documents of the checkout, by path. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ROOT } from '../architecture/source.ts'

/** Every Markdown file of the repository: the top folder's, docs, and the READMEs beside the code. */
export function readDocuments(): Map<string, string> {
  const paths = [
    ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
    ...FOLDERS.flatMap((folder) => markdownBelow(join(ROOT, folder)).map((path) => relative(ROOT, path))),
  ]
  return new Map(paths.sort().map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))
}

function markdownBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return markdownBelow(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

const FOLDERS = ['docs', 'src', 'test', 'examples', 'bench']
