/**
 * Definitions as modules. Node keeps a module by its address for as long as the process lives, so an address of ours names what the file and all files that it imports
 * by a path say just now: whoever loads it again after any of them was changed has the changed one. Our own sources and packages are as they are.
 *
 * `shardwright/topics` is ours (topics.ts) wherever a definition lies.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { dirname, join, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ownDir = join(import.meta.dirname, '..')
const topicsUrl = pathToFileURL(join(import.meta.dirname, 'topics.ts')).href
const mark = 'shardwright-definition='
const byPath = /(?:\bfrom|\bimport)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'shardwright/topics') return { url: topicsUrl, shortCircuit: true }
    const resolved = next(specifier, context)
    const of = context.parentURL === undefined ? null : new URL(context.parentURL).searchParams.get(mark.slice(0, -1))
    if (of === null || !resolved.url.startsWith('file:') || isOwn(fileURLToPath(resolved.url))) return resolved
    return { ...resolved, url: `${resolved.url}?${mark}${of}` }
  },
})

/** What the module exports, with its files as they are now. */
export async function importDefinition(file: string): Promise<{ default?: unknown }> {
  const hash = createHash('sha256')
  await addFile(resolve(file), hash, new Set())
  return (await import(`${pathToFileURL(file).href}?${mark}${hash.digest('hex').slice(0, 16)}`)) as { default?: unknown }
}

async function addFile(file: string, hash: ReturnType<typeof createHash>, seen: Set<string>): Promise<void> {
  if (seen.has(file)) return
  seen.add(file)
  const text = await readFile(file, 'utf8')
  hash.update(`${file}\0${text}\0`)
  for (const [, path = ''] of text.matchAll(byPath)) {
    const imported = resolve(dirname(file), path)
    // One that is not there, the import itself will name.
    if (!isOwn(imported)) await addFile(imported, hash, seen).catch(() => undefined)
  }
}

function isOwn(file: string): boolean {
  return file.startsWith(ownDir + sep) || file.includes(`${sep}node_modules${sep}`)
}
