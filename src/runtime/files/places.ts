/** places.json beside the identity file: see wire/places-file.ts. */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parsePlacesFile, type PlacesFile } from '../../wire/places-file.ts'

export function placesPath(identityPath: string): string {
  return join(dirname(identityPath), 'places.json')
}

/** A missing or unreadable file is ignored: the registry has the addresses. */
export async function loadPlaces(path: string | undefined): Promise<PlacesFile> {
  const text = path === undefined ? '' : await readFile(path, 'utf8').catch(() => '')
  return parsePlacesFile(text)
}
