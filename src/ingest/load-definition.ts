/** A definition from its file: a TypeScript or JavaScript module with a default export made by `defineTopic`, or YAML. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { importDefinition } from './definition-modules.ts'
import type { TopicDefinition } from './definition.ts'
import { ingestErrors } from './errors.ts'
import { parseDefinition, previousFiles } from './yaml-definition.ts'

/** @throws SW-INGEST-003 */
export async function loadDefinition(file: string): Promise<TopicDefinition> {
  const unreadable = (reason: string, cause?: unknown): Error => ingestErrors.definitionUnreadable({ file, reason }, cause)
  if (/\.ya?ml$/i.test(file)) {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw unreadable(error instanceof Error ? error.message : String(error), error)
    })
    const previous = await Promise.all(previousFiles(text, file).map((one) => loadDefinition(resolve(dirname(file), one))))
    return parseDefinition(text, file, previous)
  }
  let module: { default?: unknown }
  try {
    module = await importDefinition(file)
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error), error)
  }
  const found = module.default as Partial<TopicDefinition> | undefined
  if (typeof found !== 'object' || typeof found.digest !== 'string' || !Array.isArray(found.tables))
    throw unreadable('its default export was not made by defineTopic')
  return found as TopicDefinition
}
