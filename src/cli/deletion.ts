/** Deleting what holds data: named first, asked for by name where a person sits, `--yes` elsewhere. */
import type { CliContext } from './context.ts'
import { bool } from './flags.ts'
import type { Flags } from './flags.ts'

export type Going = { readonly servers: readonly string[]; readonly schemas?: readonly string[]; readonly kept: readonly string[] }

/** Whether data is meant to go: `--yes`, or its name typed after what would go was shown. Without a terminal the request itself is refused. */
export async function isMeant(cli: CliContext, flags: Flags, name: string, look: () => Promise<Going>): Promise<boolean> {
  if (bool(flags, 'yes', false) || bool(flags, 'dryRun', false) || cli.ask === null) return bool(flags, 'yes', false)
  const going = await look()
  if (going.servers.length === 0 && (going.schemas ?? []).length === 0) return false
  for (const line of goingLines(going, 'would remove')) cli.err(line)
  return (await cli.ask(`this can not be undone; type ${name} to go on: `)).trim() === name
}

export function goingLines({ servers, schemas = [], kept }: Going, verb: 'would remove' | 'removed'): string[] {
  return [
    ...servers.map((server) => `${verb} server ${server}, with its data`),
    ...schemas.map((schema) => `${verb} schema ${schema}, with its data`),
    ...kept.map((schema) => `schema ${schema} stays as it is`),
  ]
}
